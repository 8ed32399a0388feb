#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copies the linked personality to its final name if it is what its users rely on: no relocation, no segment that is writable
and executable, no vector or x87 register, no %fs. Usage: check_blob.py IN OUT"""
import re

import subprocess
import sys

def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

def fail(why):
    sys.exit(f"check_blob: {sys.argv[1]}: {why}")

relocations = run("readelf", "-rW", sys.argv[1])
if "There are no relocations" not in relocations:
    fail("it has relocations: something in it needs its own address at link time\n" + relocations)
for line in run("readelf", "-lW", sys.argv[1]).splitlines():
    if line.strip().startswith("LOAD") and re.search(r"RWE|  WE", line):
        fail("it has a segment that is writable and executable")
text = run("objdump", "-d", "--no-show-raw-insn", sys.argv[1])
for pattern, what in ((r"%[xyz]mm\d", "a vector register"), (r"%mm\d|%st\b", "an x87 or MMX register"), (r"%fs:", "%fs"), (r"\tiret", "iret")):
    hit = re.search(r".*" + pattern + ".*", text)
    if hit:
        fail(f"it uses {what}: {hit.group(0).strip()}")
symbols = run("readelf", "--dyn-syms", "-W", sys.argv[1])
if "__vdso_clock_gettime@@LINUX_2.6" not in symbols:
    fail("it does not export __vdso_clock_gettime@LINUX_2.6")
run("objcopy", "--strip-debug", sys.argv[1], sys.argv[2])  # symbols stay, for traces
