# SPDX-License-Identifier: Apache-2.0
"""`./bulkhead bench`: boots the benchmark machines by --icount, collects their BENCH lines, and sets them beside targets and peers.

A machine reports on its console, one line per metric, after which one line `BENCH-END` closes its group:

    BENCH kernel.null_syscall 53 instructions cr3=0 wrmsr=0 ipi=0 tlb=0

Nothing is estimated here: what no machine reported is `not measured`.
"""
import json
import pathlib
import re
import sys

import bench_sessions
import image
from common import BUILD, LOGS, ROOT, Failure, run, say
from machine import Machine

TARGETS = pathlib.Path(__file__).with_name("bench_targets.json")
COUNTS = ("cr3", "wrmsr", "ipi", "tlb")
LINE = re.compile(r"^(?:\S.*)?\bBENCH ([a-z0-9_]+\.[A-Za-z0-9_]+) ([0-9]+(?:\.[0-9]+)?) (\S+)((?: [a-z0-9]+=[0-9.]+)*)\s*$")

# Groups that share a machine run on one. `root`: a program that boots in place of the supervisor, `manifest`: a device tree of the
# build; both print BENCH lines by themselves, and each of their programs closes with BENCH-END; `files`: of the build, for the
# bootfs; `session`: talks at the dom0 prompt, after which BENCH lines may stand on the console, and returns what it worked out itself.
MACHINES = (
    {"groups": ("kernel", "domain"), "root": "test/bench/kernel_bench", "memory": 1024, "timeout": 60},
    {"groups": ("ring", "guest"), "manifest": "test/bench/bench.dtb", "memory": 1024, "timeout": 120, "ends": 2,
     "files": {"stubdom/ring_bench": BUILD / "test/bench/ring_bench", "kernel": BUILD / "test/guests/bench/bench-guest", "guest.cfg": "memory = 64\nvcpus = 1\n"}},
    {"groups": ("system", "xenstore"), "session": bench_sessions.idle_and_xenstore, "memory": 512, "timeout": 300},
    {"groups": ("domain",), "session": bench_sessions.domains, "memory": 4096, "timeout": 300, "files": bench_sessions.DOMAIN_FILES},
)


def main(groups, json_file):
    wanted = json.loads(TARGETS.read_text())
    known = list(dict.fromkeys(row["name"].split(".")[0] for row in wanted))
    for group in groups:
        if group not in known:
            raise Failure(f"unknown benchmark group '{group}' (known: {', '.join(known)})")
    groups = set(groups or known)
    wanted = [row for row in wanted if row["name"].split(".")[0] in groups]
    image.build()
    image.ninja(None)
    measured = _of_the_build() if "kernel" in groups else {}
    for machine in MACHINES:
        if groups & set(machine["groups"]):
            measured |= _boot(machine, measured)
    names = {row["name"] for row in wanted}
    wanted += [{"name": n, "unit": m["unit"], "target": None, "peer": None, "peer_value": None} for n, m in measured.items() if n not in names and n.split(".")[0] in groups]
    rows = [row | {"value": measured.get(row["name"], {}).get("value"), "counts": measured.get(row["name"], {}).get("counts", {})} for row in wanted]
    for row in rows:
        unit = measured.get(row["name"], {}).get("unit", row["unit"])
        if unit != row["unit"]:
            raise Failure(f"{row['name']} was reported in {unit}; its target is in {row['unit']}")
    if json_file != "-":
        print(table(rows))
    if json_file:
        keys = ("name", "value", "unit", "target", "peer", "peer_value")
        text = json.dumps([{k: row[k] for k in keys} for row in rows], indent=1) + "\n"
        sys.stdout.write(text) if json_file == "-" else pathlib.Path(json_file).write_text(text)
    return 0


def parse(line):
    """(name, {"value", "unit", "counts"}) of a BENCH line, or None."""
    found = LINE.match(line)
    if not found:
        return None
    value = float(found[2])
    counts = dict(pair.split("=") for pair in found[4].split())
    return found[1], {"value": int(value) if value.is_integer() else value, "unit": found[3], "counts": counts}


def _boot(how, measured):
    """Boots one machine and returns what it reported; a machine that fails is told, and what it did not report stays unmeasured."""
    name = "-".join(how["groups"])
    computed = {}
    try:
        manifest = how.get("manifest", image.MANIFEST)
        made = image.Image(auto=False, manifest=manifest, root=how.get("root"), files=how.get("files")).prepare()
        with Machine(made, cpus=1, memory=how["memory"], icount=True, log=LOGS / f"bench-{name}.log") as machine:
            if "session" in how:
                machine.boot_to_prompt(how["timeout"])
                computed = how["session"](machine, measured)
            else:
                told = ""
                for _ in range(how.get("ends", 1)):  # each by another domain: a line that is not finished yet would match again
                    other = f"(?!{re.escape(told)})" if told else ""
                    told = machine.expect(rf"^{other}.*\bBENCH-END\b", how["timeout"])[0]
            lines = list(machine.screen.lines)
    except Failure as failure:
        say(f"the benchmark machine '{name}' reported nothing: {failure}")
        return {}
    return dict(found for found in map(parse, lines) if found) | {n: {"value": v, "unit": u, "counts": {}} for n, (v, u) in computed.items()}


def _of_the_build():
    """kernel.text_bytes and kernel.lines, from the kernel itself."""
    measured = {}
    kernel = BUILD / image.KERNEL
    if kernel.exists():
        text = re.search(r"^(\d+)", run(["size", kernel], "measuring the kernel").splitlines()[1].strip())
        measured["kernel.text_bytes"] = {"value": int(text[1]), "unit": "bytes", "counts": {}}
    sources = [p for p in (ROOT / "kernel").rglob("*") if p.suffix in (".cpp", ".hpp", ".S", ".h", ".ld", ".inc")]
    if sources:
        measured["kernel.lines"] = {"value": sum(map(_lines, sources)), "unit": "lines", "counts": {}}
    return measured


def _lines(path):
    """Lines that hold code: neither blank nor comment only."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), path.read_text(errors="replace"), flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("//"))


def table(rows):
    header = ["metric", "value", "unit", "target", "", "peer's", "peer", "ratio", *COUNTS]
    lines = [header] + [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    right = {1, 3, 5, 7, 8, 9, 10, 11}
    shown = ["  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip() for line in lines]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def _cells(row):
    value, target, peer = row["value"], row["target"], row["peer_value"]
    more = row.get("more_is_better", False)
    verdict = "" if value is None or target is None else "met" if (value >= target if more else value <= target) else "missed"
    ratio = "" if value is None or not peer else f"{value / peer:.2f}"
    number = lambda n: "" if n is None else f"{n:,}"
    return [row["name"], "not measured" if value is None else number(value), row["unit"], number(target), verdict, number(peer), row["peer"] or "", ratio,
            *(row["counts"].get(c, "") for c in COUNTS)]
