# SPDX-License-Identifier: Apache-2.0
"""What each way to boot must lead to, for test_bootways and test_bootways_uefi; and the EFI system partitions of the latter and test_uefi."""
import contextlib
import pathlib
import re
import shutil
import tempfile

import esp
import image
import qemu
from common import LOGS, run
from harness import TestMachine, guest_cfg

MACHINES = [(cpus, memory) for memory in (512, 6144) for cpus in (1, 2)]
FOLDER = "EFI/bulkhead"
SNAKEOIL = pathlib.Path("/usr/share/ovmf/PkKek-1-snakeoil")
# OVMF's shell starts where nothing else can be booted, and runs this script from the volume's root.
SCRIPT = "startup.nsh"
# QEMU puts so much below 4 GiB; a guest of twice that needs what lies above.
BELOW_4_GIB = 512
SPLIT = ["-machine", f"max-ram-below-4g={BELOW_4_GIB}M"]
BIG = {"dom0/etc/xen/big.cfg": guest_cfg("big", memory=2 * BELOW_4_GIB)}


def check(m, loader, firmware=24):
    """It is the machine that was asked for, it came the way that was asked for, and its guest answers."""
    info = m.info()
    assert int(info["nr_cpus"]) == m.cpus, info
    # All but what the firmware keeps, in MiB. What lies above 4 GiB is among it: a machine that lost that, or gave only a part to dom0, has far less.
    assert m.memory - firmware <= int(info["total_memory"]) <= m.memory, info
    assert int(info["free_memory"]) > m.memory - firmware - 456, info
    log = m.ok("xl dmesg")
    assert re.search(f"booted by {loader}", log), log
    with m.console("debian") as guest:
        assert guest.ok("nproc") == "2"


def uses_memory_above_4_gib(m):
    """On a machine that is SPLIT and has BIG: a guest fills more memory than lies below 4 GiB, and all of it is as it was written."""
    m.ok("xl create big.cfg", 120)
    piece, pieces = 64, BELOW_4_GIB // 64 + 4
    with m.console("big") as guest:
        guest.ok(f"mkdir /big && mount -t tmpfs -o size={2 * BELOW_4_GIB}m big /big && dd if=/dev/urandom of=/big/0 bs=1M count={piece}", 120)
        # Each copy is shifted by its number, so that no two pages are alike.
        guest.ok(f"for i in $(seq 1 {pieces}); do (echo $i; cat /big/0) > /big/$i; done", 300)
        shown = guest.ok(f"md5sum < /big/0; for i in $(seq 1 {pieces}); do read n < /big/$i; [ $n = $i ] && tail -n +2 /big/$i | md5sum; done", 600)
    sums = shown.split("-")[:-1]
    assert len(sums) == 1 + pieces and len({s.strip() for s in sums}) == 1, shown
    m.ok("xl destroy big")


# --- EFI system partitions -------------------------------------------------------------------------------------------


def plain_image(options="loglvl=all", files=None):
    return image.Image(options=options, files=files).prepare()


def installed(made_image, folder=FOLDER, loader="bulkhead.efi", configuration="bulkhead.cfg"):
    """The loader and what belongs to it, in a folder of the EFI system partition."""
    files = made_image.system_files()
    files[configuration] = files.pop("bulkhead.cfg")
    return {f"{folder}/{loader}": image.need(image.LOADER)} | {f"{folder}/{name}": path for name, path in files.items()}


@contextlib.contextmanager
def partition(name, made_image, contents):
    disk = esp.make(made_image.path(f"{name}.img"), contents)
    try:
        yield disk
    finally:
        disk.unlink()


@contextlib.contextmanager
def machine(name, made_image, contents, boot="uefi-medium", extra=(), **how):
    with partition(name, made_image, contents) as disk, TestMachine(made_image, boot=boot, extra=[*qemu.drive("virtio", disk), *extra], log=LOGS / f"uefi-{name}.log", **how) as m:
        yield m


def unified(target, sections):
    """bulkhead.efi with files as sections, by the recipe of Xen's documentation; sections: {".config": file}."""
    end = 0
    for line in run(["objdump", "-h", image.need(image.LOADER)], "reading bulkhead.efi").splitlines():
        words = line.split()
        if len(words) == 7 and words[0].isdigit():
            end = max(end, int(words[2], 16) + int(words[3], 16))
    args = ["objcopy"]
    for name, path in sections.items():
        end = -(-end // 4096) * 4096
        args += ["--add-section", f"{name}={path}", "--change-section-vma", f"{name}={end:#x}"]
        end += path.stat().st_size
    run([*args, image.need(image.LOADER), target], "making the unified image")
    return target


def all_sections(made_image):
    names = {"manifest": ".dtb", "bootfs": ".ramdisk"}
    return {".config": made_image.system_files()["bulkhead.cfg"], ".kernel": made_image.path("bulkhead.elf")} | {
        names.get(name, f".{name}"): made_image.path(file) for name, file in made_image.modules.items()}


def signed(program):
    """By the ovmf package's test key, whose certificate the firmware of 'uefi-secure-medium' trusts."""
    target = program.with_suffix(".signed.efi")
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder) / "key.pem"
        run(["openssl", "rsa", "-in", SNAKEOIL.with_suffix(".key"), "-passin", "pass:snakeoil", "-out", key], "reading the test key")
        run(["sbsign", "--key", key, "--cert", SNAKEOIL.with_suffix(".pem"), "--output", target, program], "signing the image")
    return target


def copy(source, target):
    shutil.copyfile(source, target)
    return target
