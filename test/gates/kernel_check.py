#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the kernel stay what it promises to be: small, without a heap, without exceptions, without floating point?

usage: kernel_check.py ROOT KERNEL_ELF     (the ELF file that still has its symbols)
"""
import pathlib
import re
import subprocess
import sys

from checkout import files

MOST_LINES = 12_000
# XSAVE and FXSAVE name no register of these: the kernel keeps its users' and never computes with them. LDMXCSR and FNINIT name none either.
FLOATING = re.compile(r"%(?:[xyz]mm\d+|mm[0-7]|st\b)")
FORBIDDEN = re.compile(r"^(?:(?:m|c|re)alloc|free|_Zn[wa]m\S*|_Zd[la]Pv\S*|__cxa_(?:throw|begin_catch|allocate_exception|guard_acquire)|_Unwind_\w+"
                       r"|__(?:add|sub|mul|div|neg|cmp|eq|ne|lt|le|gt|ge|fix|fixuns|float|floatun|extend|trunc)[sdtx][fi][a-z0-9]*)$")


def lines(root):
    counted = {f: len((pathlib.Path(root) / f).read_text().splitlines()) for f in files(root)
               if f.parts[0] == "kernel" and f.suffix in (".c", ".cpp", ".h", ".hpp", ".S", ".lds")}
    total = sum(counted.values())
    print(f"kernel_check: {total} lines in {len(counted)} files")
    return [] if 0 < total < MOST_LINES else [f"kernel/ has {total} lines; it must stay below {MOST_LINES}"]


def instructions(kernel):
    function, wrong, seen = "", {}, 0
    with subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", kernel], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.endswith(">:\n"):
                function = line.split("<", 1)[1][:-3]
            elif "\t" in line:
                seen += 1
                if FLOATING.search(line):
                    wrong.setdefault(function, line.split("\t", 1)[1].strip())
    if process.returncode or seen < 1000:
        return [f"objdump disassembled {seen} instructions of {kernel} and ended with status {process.returncode}"]
    return [f"{name} uses a floating-point or vector register: {what}" for name, what in wrong.items()]


def symbols(kernel):
    listed = subprocess.run(["nm", kernel], capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in listed.splitlines()]
    if len(names) < 100:
        return [f"nm lists {len(names)} symbols of {kernel}; this check needs the file with symbols"]
    return [f"the kernel has the symbol {name}: a heap, exceptions or floating point" for name in names if FORBIDDEN.match(name)]


def main(root, kernel):
    wrong = lines(root) + instructions(kernel) + symbols(kernel)
    for line in wrong:
        print(f"kernel_check: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
