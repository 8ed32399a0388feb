# SPDX-License-Identifier: Apache-2.0
"""Each way that Xen boots, but for its EFI loader: GRUB and Syslinux, by both firmwares, from CDs, sticks and disks, with one and two
CPUs, little memory and more than 4 GiB. Each way ends at the dom0 prompt with a guest that answers (in
Bochs, which is slow: that runs)."""
import contextlib
import os
import pathlib
import re
import shutil
import tempfile

import harness
import image
import media
import qemu
from common import LOGS, ROOT, run
from harness import TestMachine, case

MACHINE = None
SYSLINUX = pathlib.Path("/usr/lib/syslinux/modules/bios")


@contextlib.contextmanager
def booted(name, make, firmware, kind, cpus, memory):
    """A machine at its dom0 prompt that `firmware` booted from the medium that make(image) answers."""
    made = image.Image().prepare()
    m = TestMachine(made, boot=f"{firmware}-medium", cpus=cpus, memory=memory, log=LOGS / f"bootways-{name}.log", extra=qemu.drive(kind, make(made)))
    try:
        m.start()
        m.boot_to_prompt()
        yield m
    finally:
        m.stop()


def check(m, loader):
    """It is the machine that was asked for, it came the way that was asked for, and its guest answers."""
    info = m.info()
    assert int(info["nr_cpus"]) == m.cpus, info
    # What lies above 4 GiB is among it: a machine that lost that, or gave only a part to dom0, has far less.
    assert m.memory - 24 <= int(info["total_memory"]) <= m.memory, info
    assert int(info["free_memory"]) > m.memory - 480, info
    log = m.ok("xl dmesg")
    assert re.search(f"booted by {loader}", log), log
    with m.console("debian") as guest:
        assert guest.ok("nproc") == "2"


def menu_without_wait(make, **choices):
    return lambda made: make(made, timeout=0, **choices)


@case("BIOS, a CD with GRUB, multiboot2: one CPU, 512 MiB")
def bios_multiboot2():
    with booted("bios-multiboot2", menu_without_wait(media.iso), "bios", "cd", 1, 512) as m:
        check(m, r"GRUB 2\S* \(Multiboot 2\)")


@case("BIOS, a CD with GRUB, multiboot1: two CPUs, 6 GiB")
def bios_multiboot1():
    with booted("bios-multiboot1", menu_without_wait(media.iso, default="multiboot1"), "bios", "cd", 2, 6144) as m:
        check(m, r"GRUB 2\S* \(Multiboot 1\)")


def isolinux(made):
    """A CD as boot/syslinux/isolinux.cfg describes it: everything in one folder."""
    iso = made.path("isolinux.iso")
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        shutil.copyfile("/usr/lib/ISOLINUX/isolinux.bin", tree / "isolinux.bin")
        for module in ("ldlinux.c32", "libcom32.c32", "mboot.c32"):
            shutil.copyfile(SYSLINUX / module, tree / module)
        shutil.copyfile(ROOT / "boot" / "syslinux" / "isolinux.cfg", tree / "isolinux.cfg")
        for name, path in media.parts(made).items():
            os.symlink(path, tree / name)
        run(["xorriso", "-as", "mkisofs", "-f", "-o", iso, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", tree], "making the ISOLINUX CD")
    return iso


@case("BIOS, a CD with ISOLINUX, mboot.c32: two CPUs, 512 MiB")
def bios_mboot_c32():
    with booted("bios-mboot-c32", isolinux, "bios", "cd", 2, 512) as m:
        check(m, r"ISOLINUX 6.* \(Multiboot 1\)")


@case("UEFI, a CD with GRUB, multiboot2 with boot services kept: one CPU, 6 GiB")
def uefi_multiboot2():
    with booted("uefi-multiboot2", menu_without_wait(media.iso), "uefi", "cd", 1, 6144) as m:
        check(m, r"GRUB 2\S* \(Multiboot 2, UEFI boot services\)")


@case("BIOS, the USB stick: two CPUs, 6 GiB")
def bios_stick():
    with booted("bios-stick", menu_without_wait(media.usb), "bios", "usb", 2, 6144) as m:
        check(m, r"GRUB 2\S* \(Multiboot 2\)")


@case("UEFI, the USB stick's image as a virtio disk: two CPUs, 512 MiB")
def uefi_stick():
    with booted("uefi-stick", menu_without_wait(media.usb), "uefi", "virtio", 2, 512) as m:
        check(m, r"GRUB 2\S* \(Multiboot 2, UEFI boot services\)")


@case("Bochs (ryzen) and its BIOS, the ISO: one CPU, 512 MiB, and a guest that uses its CPU")
def bochs():
    with harness.booted("bootways-bochs", emulator="bochs", cpus=1, memory=512) as m:
        assert re.search(r"booted by GRUB 2\S* \(Multiboot 2\)", m.ok("xl dmesg"))
        before = m.domains()["debian"]["time"]
        m.until(lambda: m.domains()["debian"]["time"] > before + 1, 60, "a second of the guest's CPU time")
