# SPDX-License-Identifier: Apache-2.0
"""The files that belong to the checkout: git's, new ones too; in a copy without git, all but build folders."""
import os
import pathlib
import subprocess


def files(root):
    root = pathlib.Path(root)
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.relpath(os.path.join(folder, name), root) for folder, _, found in os.walk(root) for name in found]
        names = [name for name in names if not name.startswith(("build", "out/", ".git/"))]
    return sorted(pathlib.Path(name) for name in set(names) if (root / name).is_file())
