# SPDX-License-Identifier: Apache-2.0
"""What every tool shares: where things are, how progress and failure are told, how a step is skipped when nothing changed."""
import contextlib
import ctypes
import errno
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
OUT = ROOT / "out"
LOGS = OUT / "logs"
RECIPES = sorted(pathlib.Path(__file__).resolve().parent.glob("*.py"))


class Failure(Exception):
    """Something a person should read: one sentence."""


def cache_dir():
    """Downloads outlive a checkout, so that a fresh clone does not fetch them again."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.path.expanduser("~/.cache") if os.environ.get("HOME") else "")
    for candidate in ([pathlib.Path(home) / "bulkhead"] if home else []) + [OUT / "cache"]:
        with contextlib.suppress(OSError):
            candidate.mkdir(parents=True, exist_ok=True)
            if os.access(candidate, os.W_OK):
                return candidate
    raise Failure(f"no folder to keep downloads in: neither {home} nor {OUT} can be written")


def say(text):
    print(f"bulkhead: {text}", file=sys.stderr, flush=True)


def explain(error):
    """An OSError as a sentence."""
    where = error.filename2 or error.filename or "the system"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}: the disk is full; `df -h {OUT}` shows it, and `./bulkhead clean` frees what was built here"
    return f"{where}: {error.strerror}"


@contextlib.contextmanager
def step(text, after=1.0):
    """Says what is being done, once it has taken longer than a second."""
    timer = threading.Timer(after, say, [f"{text} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """In a child before exec: even if this process is killed by SIGKILL, its children do not stay behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(args, what, **options):
    """Runs a tool to its end and returns its standard output; failure is a sentence with the tool's last words."""
    args = [str(a) for a in args]
    options.setdefault("cwd", ROOT)
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    try:
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent, **options)
    except FileNotFoundError:
        raise Failure(f"{what}: the tool '{args[0]}' is not installed (tools/packages.txt should name its package)") from None
    if done.returncode != 0:
        words = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
        raise Failure("\n".join(words[-40:] + [f"bulkhead: {what} failed: {args[0]} ended with status {done.returncode}"]))
    return done.stdout.decode(errors="replace")


def _state(inputs):
    """Sizes and times of the inputs, as they are now; a missing one has none."""
    result = {}
    for path in inputs:
        try:
            info = os.stat(path)
            result[str(path)] = [info.st_size, info.st_mtime_ns]
        except FileNotFoundError:
            result[str(path)] = None
    return result


def fresh(output, inputs, recipe=""):
    """True if `output` was made from exactly these inputs in their present state by this recipe (see made())."""
    output = pathlib.Path(output)
    try:
        stamp = json.loads(stamp_path(output).read_text())
    except (OSError, ValueError):
        return False
    return output.exists() and stamp == [_state([*inputs, *RECIPES]), recipe]


def made(output, inputs, recipe=""):
    stamp_path(output).write_text(json.dumps([_state([*inputs, *RECIPES]), recipe]))


def stamp_path(output):
    output = pathlib.Path(output)
    return output.with_name(f".{output.name}.stamp")


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary name beside `path` that takes its place only when all went well."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def short_hash(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]


def now():
    return time.monotonic()
