# SPDX-License-Identifier: Apache-2.0
"""Packs the sample guest's initramfs (not compressed: unpacking would be most of a guest's boot): busybox, xenstore-utils with the libraries they need, and the scripts of test/guests/sample."""
import glob
import os
import pathlib
import re

from common import BUILD, OUT, ROOT, Failure, fresh, made, replacing, run, step
from cpio import Archive

SAMPLE = ROOT / "test" / "guests" / "sample"
INITRAMFS = OUT / "guests" / "initramfs"
BUSYBOX = pathlib.Path("/bin/busybox")
# where in the guest -> where from
SCRIPTS = {"init": SAMPLE / "init", "bin/spin": SAMPLE / "spin", "bin/chatter": SAMPLE / "chatter"}
PROGRAMS = {"bin/clock": BUILD / "test" / "guests" / "clock"}
TARGETS = ["test/guests/clock"]


def initramfs():
    """Builds out/guests/initramfs if something it is made of changed; returns its path."""
    tools = sorted(p for p in glob.glob("/usr/bin/xenstore*") if not os.path.islink(p))
    programs = {name: path for name, path in PROGRAMS.items() if path.exists()}
    inputs = [BUSYBOX, SAMPLE / "profile", *SCRIPTS.values(), *PROGRAMS.values(), *tools]
    if fresh(INITRAMFS, inputs):
        return INITRAMFS
    if not BUSYBOX.exists() or not tools:
        raise Failure("the sample guest needs the packages busybox-static and xenstore-utils, and one of them left no program behind")
    with step("packing the sample guest's initramfs"):
        archive = Archive()
        for directory in ("dev", "proc", "sys", "tmp", "root", "etc", "bin", "sbin", "usr/bin", "usr/sbin"):
            archive.directory(directory)
        archive.character_device("dev/console", 5, 1)
        archive.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
        for applet in run([BUSYBOX, "--list-full"], "listing busybox's applets").split():
            if applet not in archive.names():
                archive.symlink(applet, "/bin/busybox")
        for name, path in (SCRIPTS | programs).items():
            archive.file(name, path.read_bytes(), 0o755)
        archive.file("etc/profile", (SAMPLE / "profile").read_bytes())
        archive.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
        _xenstore_utilities(archive, tools)
        with replacing(INITRAMFS) as temporary:
            archive.write(temporary)
    made(INITRAMFS, inputs)
    return INITRAMFS


def _xenstore_utilities(archive, tools):
    """One program under many names: the first is a file, the others are links; then each library ldd names, at the same path."""
    first = tools[0]
    for tool in tools:
        if os.path.samefile(tool, first) and tool != first:
            archive.symlink(tool[1:], first)
        else:
            archive.file(tool[1:], pathlib.Path(tool).read_bytes(), 0o755)
    archive.symlink("lib64", "lib/x86_64-linux-gnu")
    for library in re.findall(r"(/\S+)", run(["ldd", first], "finding the libraries of xenstore-utils")):
        name = pathlib.Path(library).name
        archive.file(f"lib/x86_64-linux-gnu/{name}", pathlib.Path(library).read_bytes(), 0o755)
