# SPDX-License-Identifier: Apache-2.0
"""Each way that Xen boots, but for its EFI loader (test_bootways_uefi): GRUB and Syslinux, by both firmwares, from CDs and sticks,
with one and two CPUs, 512 MiB and 6 GiB. Each way ends at the dom0 prompt with a guest that answers (in Bochs, which is slow: that runs)."""
import os
import pathlib
import re
import shutil
import tempfile

import harness
import image
import media
import qemu
from bootways import BIG, MACHINES, SPLIT, check, uses_memory_above_4_gib
from common import LOGS, ROOT, run
from harness import TestMachine, case

MACHINE = None
SYSLINUX = pathlib.Path("/usr/lib/syslinux/modules/bios")


def each_reaches_guest(name, make, firmware, kind, loader):
    """`firmware` boots the medium that make(image) answers, on each machine, and it ends at the prompt with a guest."""
    made = image.Image().prepare()
    medium = make(made)
    for cpus, memory in MACHINES:
        with TestMachine(made, boot=f"{firmware}-medium", cpus=cpus, memory=memory, log=LOGS / f"bootways-{name}-{cpus}-{memory}.log", extra=qemu.drive(kind, medium)) as m:
            m.boot_to_prompt()
            check(m, loader)


def menu_without_wait(make, **choices):
    return lambda made: make(made, timeout=0, **choices)


@case("BIOS, a CD with GRUB, multiboot2")
def bios_multiboot2():
    each_reaches_guest("bios-multiboot2", menu_without_wait(media.iso), "bios", "cd", r"GRUB 2\S* \(Multiboot 2\)")


@case("BIOS, a CD with GRUB, multiboot1")
def bios_multiboot1():
    each_reaches_guest("bios-multiboot1", menu_without_wait(media.iso, default="multiboot1"), "bios", "cd", r"GRUB 2\S* \(Multiboot 1\)")


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


@case("BIOS, a CD with ISOLINUX, mboot.c32")
def bios_mboot_c32():
    each_reaches_guest("bios-mboot-c32", isolinux, "bios", "cd", r"ISOLINUX 6.* \(Multiboot 1\)")


@case("UEFI, a CD with GRUB, multiboot2 with boot services kept")
def uefi_multiboot2():
    each_reaches_guest("uefi-multiboot2", menu_without_wait(media.iso), "uefi", "cd", r"GRUB 2\S* \(Multiboot 2, UEFI boot services\)")


@case("BIOS, the USB stick")
def bios_stick():
    each_reaches_guest("bios-stick", menu_without_wait(media.usb), "bios", "usb", r"GRUB 2\S* \(Multiboot 2\)")


@case("UEFI, the USB stick")
def uefi_stick():
    each_reaches_guest("uefi-stick", menu_without_wait(media.usb), "uefi", "usb", r"GRUB 2\S* \(Multiboot 2, UEFI boot services\)")


@case("of 6 GiB, all but 512 MiB lie above 4 GiB by a BIOS's memory map, and a guest fills them")
def above_4_gib():
    with harness.booted("bootways-above", memory=6144, extra=SPLIT, files={name.removeprefix("dom0"): text for name, text in BIG.items()}) as m:
        uses_memory_above_4_gib(m)


@case("Bochs (ryzen) and its BIOS, the ISO: one CPU, 512 MiB, and a guest that uses its CPU")
def bochs():
    with harness.booted("bootways-bochs", emulator="bochs", cpus=1, memory=512) as m:
        assert re.search(r"booted by GRUB 2\S* \(Multiboot 2\)", m.ok("xl dmesg"))
        before = m.domains()["debian"]["time"]
        m.until(lambda: m.domains()["debian"]["time"] > before + 1, 60, "a second of the guest's CPU time")
