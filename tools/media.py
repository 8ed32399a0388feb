# SPDX-License-Identifier: Apache-2.0
"""What a machine boots from beside QEMU's own loader: `./bulkhead image` and the system tests of the ways to boot.

    usb   a disk with one FAT partition, editable: GRUB for BIOS in the gap behind the partition table, GRUB for UEFI as
          \\EFI\\BOOT\\BOOTX64.EFI
    iso   GRUB for both firmwares on a CD, also when written to a stick
    esp   a disk with an EFI system partition and bulkhead.efi in it (image.Image.system_partition)
"""
import os
import pathlib
import re
import shutil
import struct

import esp
import image as images
from common import OUT, ROOT, Failure, fresh, made, replacing, run, short_hash, step

GRUB = pathlib.Path("/usr/lib/grub")
MENU = ROOT / "boot" / "grub" / "grub.cfg"
SECTOR = 512
START = 2048  # of the partition, in sectors: what lies before is GRUB's
GRUB_MODULES = "part_msdos part_gpt fat iso9660 normal configfile multiboot multiboot2 serial terminal all_video video gfxterm test echo ls cat reboot halt search".split()
PLATFORM_MODULES = {"i386-pc": ["biosdisk", "vbe", "vga"], "x86_64-efi": ["efi_gop", "efi_uga", "chain"]}


def main(options):
    """`./bulkhead image`"""
    image = prepare(options)
    made = {"usb": usb, "iso": iso, "esp": lambda i: i.system_partition()}[options.format](image)
    out = pathlib.Path(options.out or OUT / f"bulkhead-{version()}.{options.format}")
    with replacing(out) as temporary:
        shutil.copyfile(made, temporary)
    print(f"{out}: {out.stat().st_size >> 20} MiB; onto a stick, which is overwritten: dd if={out} of=/dev/sdX bs=4M conv=fsync")


def prepare(options):
    """The image that --cfg, --auto and --options ask for."""
    for cfg in options.cfg:
        if not pathlib.Path(cfg).is_file():
            raise Failure(f"--cfg {cfg}: there is no such file")
    images.build()
    return images.Image(options.cfg, auto=options.auto or not options.cfg, options=options.options).prepare()


def version():
    return re.search(r"(?m)^  version: '([^']+)'", (ROOT / "meson.build").read_text())[1]


def menu(options="", timeout=5, default="multiboot2"):
    """The GRUB menu of an image."""
    words = {"TIMEOUT": timeout, "DEFAULT": default, "OPTIONS": options, "VERSION": version()}
    text = re.sub(r"@([A-Z]+)@", lambda found: str(words[found[1]]), MENU.read_text())
    return re.sub(r"(?m)[ ]+$", "", text)


def parts(image):
    """{path below /boot: file} of what GRUB loads."""
    return {name: image.path(name) for name in ("bulkhead.elf", *image.modules.values())}


def iso(image, **choices):
    """A hybrid ISO for both firmwares, by GRUB."""
    return _medium("iso", image, choices, lambda disk, tree: run(["grub-mkrescue", "-o", disk, tree, "--", "-volid", "BULKHEAD"], "making the ISO"))


def usb(image, **choices):
    """A disk image for a USB stick: one active FAT32 partition of the type of an EFI system partition, which both firmwares read."""
    return _medium("usb", image, choices, _stick)


def _medium(kind, image, choices, make):
    """The image on a medium, made anew if what it consists of changed; make(disk, tree) gets a folder that has /boot as it shall be."""
    text = menu(image.options, **choices)
    target = image.path(f"bulkhead-{short_hash(text)}.{kind}")
    if fresh(target, parts(image).values(), text):
        return target
    with step(f"making the {kind} image"), replacing(target) as disk:
        tree = disk.with_suffix(".tree")
        try:
            (tree / "boot" / "grub").mkdir(parents=True)
            (tree / "boot" / "grub" / "grub.cfg").write_text(text)
            for name, path in parts(image).items():
                os.link(path, tree / "boot" / name)
            make(disk, tree)
        finally:
            shutil.rmtree(tree, ignore_errors=True)
    made(target, parts(image).values(), text)
    return target


def _stick(disk, tree):
    (tree / "EFI" / "BOOT").mkdir(parents=True)
    _grub("x86_64-efi", "/boot/grub", tree / "EFI" / "BOOT" / "BOOTX64.EFI")
    core = tree / "core.img"
    _grub("i386-pc", "(,msdos1)/boot/grub", core)
    contents = core.read_bytes()
    core.unlink()
    _partition(disk, tree)
    _install_grub(disk, contents)


def _grub(platform, prefix, output):
    if not (GRUB / platform).exists():
        raise Failure(f"GRUB's modules for {platform} are missing from {GRUB} (tools/packages.txt should name their package)")
    run(["grub-mkimage", "-O", platform, "-p", prefix, "-o", output, *GRUB_MODULES, *PLATFORM_MODULES[platform]], f"making GRUB for {platform}")


def _partition(disk, tree):
    """Makes the disk, with the tree's files in its partition."""
    files = [p for p in tree.rglob("*") if p.is_file()]
    size = sum(p.stat().st_size + 8192 for p in files) * 17 // 16 + (36 << 20)  # FAT32 wants 65525 clusters
    sectors = -(-size // (1 << 20)) * 2048
    with open(disk, "wb") as out:
        out.truncate((START + sectors) * SECTOR)
        out.write(_partition_table(START, sectors))
    run([esp.tool("mkfs.vfat"), "-F", "32", "-s", "1" if size < (512 << 20) else "8", "-n", "BULKHEAD", "--offset", START, disk, sectors // 2], "formatting the disk image")
    inside = f"{disk}@@{START * SECTOR}"
    run(["mcopy", "-s", "-i", inside, *sorted(tree.iterdir()), "::/"], "filling the disk image")


def _partition_table(start, sectors):
    """A master boot record with one active partition of type 0xef; cylinders and heads are beyond what they can say."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0xEF, b"\xfe\xff\xff", start, sectors)
    return bytes(440) + os.urandom(4) + bytes(2) + entry + bytes(48) + b"\x55\xaa"


def _install_grub(disk, core):
    """GRUB's boot.img into the boot record and its core behind it, as grub-bios-setup does, which wants a block device.

    boot.img: the 64-bit number of the core's first sector at 0x5c; a jump at 0x66 that goes round a workaround for floppies becomes
    two NOPs. The core's first sector ends with the list of the others: first sector (64 bits), count (16), segment (16).
    """
    boot = bytearray((GRUB / "i386-pc" / "boot.img").read_bytes()[:440])
    boot[0x5C:0x64] = struct.pack("<Q", 1)
    boot[0x66:0x68] = b"\x90\x90"
    core = bytearray(core + bytes(-len(core) % SECTOR))
    count = len(core) // SECTOR
    if count + 1 > START:
        raise Failure(f"GRUB's core takes {count} sectors, more than there are before the partition")
    core[0x1F4:0x200] = struct.pack("<QHH", 2, count - 1, 0x820)
    with open(disk, "r+b") as out:
        out.write(boot)
        out.seek(SECTOR)
        out.write(core)
