#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles each C and C++ file of the build once with clang as well, warnings as errors; no code is generated.

usage: clang_check.py BUILD_FOLDER [PART_OF_A_FILE_NAME]

Without a part: all but the Catch2 tests, whose headers would take most of the time. With "/": really all.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

CLANG = {".c": "clang-19", ".cpp": "clang++-19"}
# What only g++ knows. Everything else of a command, warnings among it, is given to clang as it is.
ONLY_GCC = ("-maccumulate-outgoing-args", "-mindirect-branch=", "-mindirect-branch-register", "-fno-tree-",
            "-flto", "-fno-fat-lto-objects", "-ffixed-", "-fcall-used-", "-mpreferred-stack-boundary=", "-fdiagnostics-color", "-fsanitize", "-O",
            "-mgeneral-regs-only")  # clang takes it to forbid even the mention of `long double` in a header
# std::stable_sort of libstdc++ 12 calls what C++17 deprecates.
MORE = ["-fsyntax-only", "-Wno-unused-command-line-argument", "-Wno-deprecated-declarations"]
UNIT_TESTS = ("/test/unit/", "/test/model/")
USES_CAPNP = {"-Ischema", "-I../lib/ring"}  # what a command holds then
CAPNP = ["-include", str(pathlib.Path(__file__).with_name("capnp_for_clang.hpp"))]


def clang_command(entry):
    """The entry's command for clang, without what names its outputs."""
    words = shlex.split(entry["command"])
    while words[0].endswith(("ccache", "c++", "g++", "cc", "gcc")):
        words.pop(0)
    kept, skip = [], False
    for word in words:
        if skip or word in ("-MD", "-c") or word.startswith(ONLY_GCC):
            skip = False
        elif word in ("-MQ", "-MF", "-o"):
            skip = True
        else:
            kept.append(word)
    return [CLANG[pathlib.Path(entry["file"]).suffix], *MORE, *(CAPNP if USES_CAPNP.intersection(kept) else []), *kept]


def wanted(build, part):
    """One command per source file: the first one, which is the program's own and not a test's."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        name = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        chosen = part in name if part else not any(folder in name for folder in UNIT_TESTS)
        if pathlib.Path(name).suffix in CLANG and chosen and "-w" not in shlex.split(entry["command"]):
            found.setdefault(name, entry)
    return list(found.values())


def check(entry):
    done = subprocess.run(clang_command(entry), cwd=entry["directory"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return entry["file"], done.returncode, done.stdout


def main(build, part=""):
    entries = wanted(pathlib.Path(build), part)
    if not entries:
        sys.exit(f"clang_check: no source file of {build} has '{part}' in its name")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, status, said in pool.map(check, entries):
            if status:
                failed += 1
                print(f"clang_check: {name}:\n{said}", flush=True)
    print(f"clang_check: {len(entries)} files, {failed} with errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
