#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is every C and C++ file of the checkout as clang-format writes it?

usage: format_check.py ROOT
"""
import subprocess
import sys

from checkout import files

# Formats differ between releases; this is the one of Debian 12.
CLANG_FORMAT = "clang-format-14"


def main(root):
    sources = [f for f in files(root) if f.suffix in (".c", ".cpp", ".h", ".hpp")]
    done = subprocess.run([CLANG_FORMAT, "--dry-run", "-Werror", "--ferror-limit=1", *sources], cwd=root, stderr=subprocess.PIPE, text=True)
    if not done.returncode:
        print(f"format_check: {len(sources)} files are formatted")
        return 0
    wrong = sorted({line.split(":", 1)[0] for line in done.stderr.splitlines() if ": error: " in line})
    print(f"format_check: {len(wrong)} of {len(sources)} files are not as {CLANG_FORMAT} writes them; mend it with: {CLANG_FORMAT} -i {' '.join(wrong)}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
