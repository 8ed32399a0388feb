# SPDX-License-Identifier: Apache-2.0
"""`./bulkhead install`: puts Bulkhead where ArchWiki's page on Xen puts Xen.

    boot_dir   bulkhead-VERSION.elf, .dtb (the manifest), .cpio (the boot archive), as xen.gz lies there: for GRUB and Syslinux
    efi_dir    bulkhead.efi, bulkhead.cfg and what that names (the loader reads its own volume only), as xen.efi and xen.cfg do

Where the EFI system partition has systemd-boot's folder `loader`, an entry is written there; else the lines for GRUB are printed.
bulkhead.sums in each folder says what was installed: a file that differs from it was changed by somebody, is left alone, and the new
one is put beside it as NAME.new.
"""
import hashlib
import os
import pathlib

import image as images
import media
from common import Failure, replacing, say

SUMS = "bulkhead.sums"


def main(options):
    install(media.prepare(options), options.boot_dir, options.efi_dir, images.need(images.LOADER), options.options)
    return 0


def install(image, boot_dir, efi_dir, loader, options=""):
    """Installs a prepared image.Image; `loader` is bulkhead.efi."""
    boot_dir, efi_dir = _folder("--boot-dir", boot_dir), _folder("--efi-dir", efi_dir)
    version = media.version()
    named = {f"bulkhead-{version}{pathlib.Path(name).suffix}": path.read_bytes() for name, path in media.parts(image).items()}
    kept = put(boot_dir, named)
    configuration = _configuration(version, options).encode()
    on_volume = {"bulkhead.efi": loader.read_bytes(), "bulkhead.cfg": configuration} | named
    kept += put(efi_dir, on_volume)
    partition = _system_partition(efi_dir)
    if partition:
        entry = partition / "loader" / "entries"
        entry.mkdir(exist_ok=True)
        program = "/" + str((efi_dir / "bulkhead.efi").relative_to(partition))
        kept += put(entry, {"bulkhead.conf": f"title Bulkhead\nversion {version}\nefi {program}\n".encode()})
        print(f"systemd-boot: {entry / 'bulkhead.conf'} starts {program}")
    else:
        print(f"GRUB: put this into /etc/grub.d/40_custom, or boot/grub/20_bulkhead into /etc/grub.d, and run update-grub:\n\n{grub_entry(boot_dir, version, options)}")
    for path in kept:
        say(f"{path} was changed since it was installed, and stays; the new one is {path}.new")
    return kept


def put(folder, files):
    """Writes {name: bytes} into the folder but for what somebody changed; returns the paths of those."""
    sums = _read_sums(folder)
    kept = []
    for name, content in files.items():
        path, wanted = folder / name, hashlib.sha256(content).hexdigest()
        present = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
        if present not in (None, wanted, sums.get(name)):
            kept.append(path)
            path = path.with_name(f"{name}.new")
        else:
            sums[name] = wanted
        if present != wanted:
            with replacing(path) as temporary:
                temporary.write_bytes(content)
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    with replacing(folder / SUMS) as temporary:
        temporary.write_text(lines)
    return kept


def grub_entry(boot_dir, version, options=""):
    """A menu entry for GRUB; paths are those of the file system that boot_dir lies on."""
    mount = boot_dir
    while not os.path.ismount(mount):
        mount = mount.parent
    folder = "/" + str(boot_dir.relative_to(mount)) if boot_dir != mount else ""
    kernel = f"{folder}/bulkhead-{version}"
    return (f"menuentry 'Bulkhead {version}' {{\n    insmod all_video\n    search --no-floppy --file --set=root {kernel}.elf\n    multiboot2 {kernel}.elf {options}".rstrip()
            + f"\n    module2 {kernel}.dtb manifest\n    module2 {kernel}.cpio bootfs\n}}\n")


def _configuration(version, options):
    name = f"bulkhead-{version}"
    return (f"# What bulkhead.efi beside this file loads, in the syntax of Xen's xen.cfg.\n[global]\ndefault=bulkhead\n\n[bulkhead]\noptions={options}\n"
            f"kernel={name}.elf\nmodule={name}.dtb manifest\nmodule={name}.cpio bootfs\n")


def _folder(option, path):
    path = pathlib.Path(path).resolve()
    if not path.is_dir():
        raise Failure(f"{option} {path}: there is no such folder; is the partition mounted?")
    if not os.access(path, os.W_OK):
        raise Failure(f"{option} {path}: it cannot be written; root can")
    return path


def _system_partition(efi_dir):
    """The folder at or above efi_dir that holds systemd-boot's `loader`, or None."""
    for folder in (efi_dir, *efi_dir.parents):
        if (folder / "loader").is_dir():
            return folder
        if os.path.ismount(folder):
            return None
    return None


def _read_sums(folder):
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}
