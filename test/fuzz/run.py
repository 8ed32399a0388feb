#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one libFuzzer target: its seeds, then what libFuzzer makes of them for a number of seconds.

usage: run.py PROGRAM SEED_FOLDER SECONDS [MORE libFuzzer OPTIONS]

The seeds stay as they are: what is found goes to a temporary corpus. A crash leaves its input beside the program, as PROGRAM.crash-HASH.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def main(program, seeds, seconds, *more):
    if not any(pathlib.Path(seeds).iterdir()):
        sys.exit(f"fuzz: there are no seeds in {seeds}")
    with tempfile.TemporaryDirectory() as corpus:
        # The seed makes a run repeat as far as the clock lets it. A single input may take 20 s on a busy host.
        done = subprocess.run([program, corpus, seeds, f"-max_total_time={seconds}", "-seed=1", "-timeout=60", "-rss_limit_mb=2048",
                               f"-artifact_prefix={program}.", "-print_final_stats=1", *more],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=os.environ | {"UBSAN_OPTIONS": "print_stacktrace=1"})
    text = done.stdout.decode(errors="replace")
    if done.returncode == 0 and re.search(r"^stat::number_of_executed_units: *[1-9]", text, re.M):
        print("\n".join(line for line in text.splitlines() if line.startswith(("Done", "stat::"))))
        return 0
    print(text[-8000:])
    print(f"fuzz: {pathlib.Path(program).name} ended with status {done.returncode}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
