#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one program on Linux and as a stub domain (the root task, on Bulkhead's kernel in QEMU) and compares what it prints.

    compare.py PROGRAM KERNEL BLOB CPU [expected lines instead of a run on Linux…]

CPU is QEMU's -cpu. Lines that a program writes to standard error are not compared. Fails with the first line that differs."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools"))
from cpio import Archive

TIMEOUT = 180
FLAGS = "rdseed=off,sha-ni=off,fxsr-opt=off,misalignsse=off,3dnowprefetch=off,osvw=off,topoext=off,nrip-save=off,xsavec=off"


def on_linux(program):
    return subprocess.run([program], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          timeout=TIMEOUT).stdout.splitlines()


def on_bulkhead(program, kernel, blob, cpu, last):
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "root")
        subprocess.run(["strip", "-o", stripped, program], check=True)
        archive = Archive()
        archive.file("boot/root", pathlib.Path(stripped).read_bytes())
        archive.file("boot/blob", pathlib.Path(blob).read_bytes())
        archive.write(os.path.join(folder, "bootfs"))
        os.symlink(os.path.abspath(kernel), os.path.join(folder, "kernel"))
        machine = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", cpu, "-smp", "2", "-m", "512M", "-nodefaults",
             "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", "kernel", "-initrd", "bootfs"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        watchdog = threading.Timer(TIMEOUT, machine.kill)
        watchdog.start()
        lines = []
        try:
            for line in machine.stdout:
                own = re.match(r"\(root\) (.*)", line.rstrip())
                if own:
                    lines.append(own.group(1))
                if re.search(r"is stopped by exception|PANIC|panic:", line) or (own and own.group(1) == last):
                    if not own:
                        lines.append(line.rstrip())
                    break
        finally:
            watchdog.cancel()
            machine.kill()
            machine.wait()
        return lines


def main():
    program, kernel, blob, cpu, *expected = sys.argv[1:]
    if cpu.startswith("EPYC"):
        cpu += ",+svm,+umip," + FLAGS
    expected = expected or on_linux(program)
    got = [line for line in on_bulkhead(program, kernel, blob, cpu, expected[-1]) if not line.startswith("note: ")]
    for i, line in enumerate(expected):
        if i >= len(got) or got[i] != line:
            here = got[i] if i < len(got) else "nothing"
            sys.exit(f"compare: {os.path.basename(program)}: line {i + 1}: Linux prints '{line}', Bulkhead '{here}'")
    print(f"{os.path.basename(program)}: {len(expected)} lines are the same")


main()
