# SPDX-License-Identifier: Apache-2.0
"""`./bulkhead test`: unit tests (every test() of the build), then system tests (test/system/test_*.py); each case is counted."""
import collections
import concurrent.futures
import contextlib
import importlib.util
import inspect
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import xml.etree.ElementTree

import debian
import image
import unit_tests
from common import BUILD, OUT, ROOT, Failure, die_with_parent, run, say, step

SYSTEM = ROOT / "test" / "system"
UNIT_TIMEOUT = 600
KINDS = ("unit", "system")

Case = collections.namedtuple("Case", "name passed seconds detail")


class Report:
    """Prints a line per case as it ends, and counts. Thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self.passed = self.failed = 0
        self.failures = []

    def add(self, case):
        with self._lock:
            self.passed += case.passed
            self.failed += not case.passed
            print(f"{'PASS' if case.passed else 'FAIL'} {case.name} ({case.seconds:.2f} s)", flush=True)
            if not case.passed:
                self.failures.append(case.name)
                print("    " + case.detail.strip().replace("\n", "\n    "), flush=True)

    def close(self):
        if self.failures:
            print("failed: " + ", ".join(self.failures))
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.passed and not self.failed else 1


def main(names):
    kinds = [n for n in names if n in KINDS]
    filters = [n for n in names if n not in KINDS]
    report = Report()
    if not kinds or "unit" in kinds:
        _unit(report, filters)
    if not kinds or "system" in kinds:
        _system(report, filters)
    if not report.passed and not report.failed and filters:
        print(f"bulkhead: no test or case has '{' or '.join(filters)}' in its name", file=sys.stderr)
    return report.close()


_stopping = threading.Event()


def _side_by_side(jobs, function, tasks):
    """function(*task) for each task, on `jobs` threads. Whatever ends this early, a signal above all, ends the programs that the
    threads wait for, so that they unwind and leave nothing behind."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(function, *task) for task in tasks]
        try:
            for future in futures:
                future.result()
        except BaseException:
            _stopping.set()
            for future in futures:
                future.cancel()
            while concurrent.futures.wait(futures, 0.2).not_done:
                _kill_children()
            raise


def _kill_children():
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread, or the child, has just ended
            for child in (task / "children").read_text().split():
                os.kill(int(child), signal.SIGKILL)


def _go_on():
    if _stopping.is_set():
        raise concurrent.futures.CancelledError


# --- unit ------------------------------------------------------------------------------------------------------------


def _unit(report, filters):
    started = time.monotonic()
    image.configure()
    image.ninja(["build.ninja"])  # the list of tests is that of build files that are up to date
    chosen = unit_tests.chosen(filters)
    if not chosen:
        return
    for flavour in debian.KERNELS:  # some unit tests read Debian's real kernels
        debian.guest_kernel(flavour)
    try:
        with step("compiling the tests", after=0):
            image.ninja(unit_tests.targets(chosen))
    except Failure as failure:
        report.add(Case("unit/build", False, time.monotonic() - started, str(failure)))
        return
    _side_by_side(os.cpu_count() or 1, _report_unit, [(report, test, cases) for test, cases in chosen])


def _report_unit(report, test, cases):
    for case in _run_unit(test, cases):
        report.add(case)


def _run_unit(test, wanted):
    """The cases of one executable: Catch2 reports its own, any other program is one case. `wanted`: names of Catch2 cases, or None: all."""
    program, *arguments = test["cmd"]
    name = test["name"]
    catch = _is_catch2(program)
    with tempfile.TemporaryDirectory() as folder:
        listing = pathlib.Path(folder) / "cases.xml"
        if catch:
            arguments += ["-r", "xml", "-d", "yes", "-o", str(listing)]
        if catch and wanted:
            arguments.append(unit_tests.catch2_filter(wanted))
        started = time.monotonic()
        limit = max(UNIT_TIMEOUT, test.get("timeout") or 0)
        environment = os.environ | {"BULKHEAD_TEST_KERNELS": str(OUT / "guests")} | (test.get("env") or {})
        try:
            done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=limit, env=environment, cwd=test.get("workdir") or BUILD, preexec_fn=die_with_parent)
            status, words = done.returncode, done.stdout
        except subprocess.TimeoutExpired as timeout:
            status, words = None, timeout.output or b""
        seconds = time.monotonic() - started
        text = words.decode(errors="replace")[-6000:]
        ended = "it did not end in time" if status is None else f"it ended with status {status}"
        if not catch:
            return [Case(name, status == 0, seconds, f"{ended}\n{text}")]
        cases, complete = _catch2_cases(name, listing)
        if not complete:
            cases.append(Case(f"{name}: ran to its end", False, seconds, f"{ended}\n{text}"))
        elif status != 0 and all(c.passed for c in cases):
            cases.append(Case(f"{name}: exit status", False, seconds, f"{ended} although each case passed\n{text}"))
        return cases


def _is_catch2(program):
    try:
        return b"list-test-names-only" in pathlib.Path(program).read_bytes()
    except OSError:
        return False


def _catch2_cases(test, listing):
    """Reads Catch2's XML as far as it goes: a program that crashes leaves it without an end."""
    cases, complete = [], False
    try:
        for _, element in xml.etree.ElementTree.iterparse(listing, events=("end",)):
            if element.tag == "Catch":
                complete = True
            if element.tag == "TestCase":
                result = element.find("OverallResult")
                passed = result is not None and result.get("success") == "true"
                seconds = float(result.get("durationInSeconds", 0)) if result is not None else 0.0
                cases.append(Case(f"{test}: {element.get('name')}", passed, seconds, _catch2_failures(element)))
    except (xml.etree.ElementTree.ParseError, FileNotFoundError):
        pass
    return cases, complete


def _catch2_failures(case):
    found = []
    for expression in case.iter("Expression"):
        if expression.get("success") != "true":
            original, expanded = (expression.findtext(tag, "").strip() for tag in ("Original", "Expanded"))
            found.append(f"{expression.get('filename')}:{expression.get('line')}: {original}\n  with: {expanded}")
    for tag in ("Exception", "FatalErrorCondition", "Failure"):
        found += [f"{e.get('filename')}:{e.get('line')}: {tag}: {(e.text or '').strip()}" for e in case.iter(tag)]
    return "\n".join(found[:10])


# --- system ----------------------------------------------------------------------------------------------------------


def _system(report, filters):
    sys.path.insert(0, str(SYSTEM))
    import harness  # test/system/harness.py
    plans = _plans(filters, harness)
    if not plans:
        return
    started = time.monotonic()
    try:
        image.build()
        image.ninja(unit_tests.system_programs())
    except Failure as failure:
        report.add(Case("system/build", False, time.monotonic() - started, str(failure)))
        return
    jobs = int(os.environ.get("BULKHEAD_JOBS", min(2, os.cpu_count() or 1)))
    alone = [plan for plan in plans if getattr(plan[1], "ALONE", False)]
    _side_by_side(jobs, _run_module, [(report, harness, *plan) for plan in plans if plan not in alone])
    _side_by_side(1, _run_module, [(report, harness, *plan) for plan in alone])


def _plans(filters, harness):
    """[(module's name, module, its wanted cases)]"""
    plans = []
    for path in sorted(SYSTEM.glob("test_*.py")):
        module = _load(path)
        wanted = [case for case in harness.cases(module) if unit_tests.selected(f"system/{path.stem}: {case.title}", filters)]
        if wanted:
            plans.append((path.stem, module, wanted))
    return plans


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run_module(report, harness, stem, module, cases):
    """Runs a module's cases; if some fail, all of it once more on a new machine, since an emulator on a busy host can be late for
    any deadline. A case that needed the second try is reported with what the first one said."""
    results = _try_module(harness, stem, stem, module, cases)
    if not all(c.passed for c in results):
        for c in results:
            if not c.passed:
                say(f"{c.name} failed; trying {stem} once more\n{c.detail}")
        again = {c.name: c for c in _try_module(harness, stem, f"{stem}-again", module, cases)}
        results = [c if c.passed else again.get(c.name, c) for c in results]
    for c in results:
        report.add(c)


def _try_module(harness, stem, log, module, cases):
    """Boots the module's machine once and runs its cases on it, one after the other."""
    results, machine, broken = [], None, None
    _go_on()
    try:
        if module.MACHINE is not None:
            started = time.monotonic()
            try:
                machine = harness.boot(log, module.MACHINE)
                results.append(Case(f"system/{stem}: boots to the dom0 prompt", True, time.monotonic() - started, ""))
            except Exception as problem:  # whatever it is, the other modules still run
                results.append(Case(f"system/{stem}: boots to the dom0 prompt", False, time.monotonic() - started, _explain(problem)))
                broken = "its machine did not boot"
        for case in cases:
            _go_on()
            started = time.monotonic()
            problem = broken
            if not broken:
                problem = _attempt(case, machine)
                if problem and machine:
                    broken = _recover(machine)
            results.append(Case(f"system/{stem}: {case.title}", problem is None, time.monotonic() - started, problem or ""))
    finally:
        if machine:
            machine.stop()
    return results


def _attempt(case, machine):
    try:
        case(machine) if inspect.signature(case).parameters else case()
        return None
    except Exception as problem:  # a failed case must not end the others
        return _explain(problem)


def _recover(machine):
    """After a failed case: is there still a prompt? If not, the remaining cases cannot run."""
    try:
        machine.resync()
        return None
    except Exception as problem:
        return f"the machine gave no prompt any more after an earlier case failed: {str(problem).splitlines()[0]}"


def _explain(problem):
    place = next((f"{pathlib.Path(f.filename).name}:{f.lineno}: {f.line}" for f in reversed(traceback.extract_tb(problem.__traceback__)) if "test_" in f.filename), "")
    kind = "" if isinstance(problem, Failure) else f"{type(problem).__name__}: "
    return f"{place}\n{kind}{problem}".strip()
