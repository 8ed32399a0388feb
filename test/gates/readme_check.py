#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does every folder say in a README.md what it is for? And do the READMEs and docs/ name only files that exist?

usage: readme_check.py ROOT
"""
import pathlib
import re
import sys

from checkout import files

# Folders whose parent's README speaks for them: one per fuzz target or tested component, or nothing but data.
SPOKEN_FOR = ("test/fuzz/seeds/", "test/unit/", "test/guests/sample", "packaging/debian", ".ci")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def main(root):
    root = pathlib.Path(root)
    found = files(root)
    folders = {f.parent for f in found}
    wrong = [f"{folder}/ has no README.md" for folder in sorted(folders)
             if folder / "README.md" not in found and not str(folder).startswith(SPOKEN_FOR)]
    for page in (f for f in found if f.suffix == ".md"):
        for target in LINK.findall((root / page).read_text()):
            if not (root / page.parent / target).exists():
                wrong.append(f"{page}: links to {target}, which does not exist")
    for line in wrong:
        print(f"readme_check: {line}")
    print(f"readme_check: {len(folders)} folders, {len(wrong)} mistakes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
