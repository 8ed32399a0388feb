# SPDX-License-Identifier: Apache-2.0
"""A disk with a GPT and one EFI system partition, as a UEFI machine expects it."""
import pathlib
import shutil

from common import replacing, run, step

SECTOR, START = 512, 1 << 20
TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


def make(disk, contents):
    """Writes `disk`; contents: {"EFI/BOOT/NAME": pathlib.Path, text or bytes}."""
    with step("making the EFI system partition"), replacing(disk) as temporary:
        size = _partition_bytes(sum(_size(c) + 8192 for c in contents.values()))
        with open(temporary, "wb") as file:
            file.truncate(START + size + START)
        layout = f'label: gpt\nstart={START // SECTOR}, size={size // SECTOR}, type={TYPE}, name="EFI system"\n'
        run([tool("sfdisk"), "--quiet", "--no-reread", "--no-tell-kernel", temporary], "partitioning the boot disk", input=layout.encode())
        sectors = "1" if size < (512 << 20) else "8"
        run([tool("mkfs.vfat"), "-F", "32", "-s", sectors, "-n", "BULKHEAD", "--offset", str(START // SECTOR), temporary, str(size // 1024)],
            "formatting the EFI system partition")
        _fill(f"{temporary}@@{START}", contents)
    return disk


def _fill(inside, contents):
    what = "filling the EFI system partition"
    folders = sorted({str(parent) for name in contents for parent in pathlib.PurePosixPath(name).parents} - {"."})
    if folders:
        run(["mmd", "-i", inside, *(f"::/{folder}" for folder in folders)], what)
    for name, content in contents.items():
        if isinstance(content, pathlib.Path):
            run(["mcopy", "-i", inside, content, f"::/{name}"], what)
        else:
            run(["mcopy", "-i", inside, "-", f"::/{name}"], what, input=content.encode() if isinstance(content, str) else content)


def _partition_bytes(payload):
    size = payload * 17 // 16 + (34 << 20)  # FAT32 wants 65525 clusters of 512 bytes
    return -(-size // START) * START


def _size(content):
    return content.stat().st_size if isinstance(content, pathlib.Path) else len(content)


def tool(name):
    """mkfs and its like live in /usr/sbin, which an ordinary user's PATH lacks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or name
