# SPDX-License-Identifier: Apache-2.0
"""Each mistake in what bulkhead.efi is given is a sentence on the firmware's console, and waits for a key; the search for the
configuration. The ways to boot: test_bootways_uefi."""
import pathlib
import re
import struct
import tempfile

import image
import qemu
from bootways import FOLDER, SCRIPT, copy, installed, machine, partition, plain_image, signed, unified
from common import LOGS
from harness import TestMachine, case

MACHINE = None
KEY = r"Press any key to return to the firmware\."

SECTION = "[global]\ndefault=a\n[a]\n"
GOOD = SECTION + "kernel=bulkhead.elf\nramdisk=small.bin\n"  # enough for the loader, and quick to load
FULL = GOOD + "dtb=small.bin\nucode=small.bin\n" + "".join(f"module=small.bin m{n}\n" for n in range(13))  # as many modules as there may be
LINUX = b"\0" * 0x202 + b"HdrS" + b"\0" * 0x200


def patched(kernel, offset, value):
    """A 64-bit field of the ELF file is another."""
    return kernel[:offset] + struct.pack("<Q", value) + kernel[offset + 8:]


def mistakes(kernel):
    """(arguments, files beside the loader, what is said); T stands for a configuration's name of its own."""
    def configured(text, *said, **files):
        return "-cfg=T", {"T": text} | {name.replace("_", "."): content for name, content in files.items()}, said

    def line_6(more, *said):
        return configured(GOOD + more + "\n", *said)

    return [
        ("-cfg=absent.cfg", {}, ["bulkhead.efi: cannot open the file 'absent.cfg' (not found)"]),
        configured("\ufeff[a]\n", "T:1: the file starts with a UTF-8 byte-order mark; save it as plain ASCII"),
        configured("[a]\nkernel=k\n".encode("utf-16"), "T:1: the file is UTF-16; save it as plain ASCII"),
        configured("[a]\nkernel=größe\n", "T:2: the file must be plain ASCII (not UTF-8, not UTF-16); there is another character"),
        configured("#" * 70000, "the file is larger than can be right: 'T'"),
        configured("", "the file is empty: 'T'"),
        ("-cfg=folder", {"folder/x": "x"}, ["is a directory, not a file: 'folder'"]),
        ("rescue", {}, ["bulkhead.cfg: there is no section named 'rescue'"]),
        configured("[global]\ndefault=a\n[a]\nkernel=k\n[b]\n[a]\n", "T:6: the section appears twice: 'a'"),
        configured("kernel=k\n" + SECTION, "T:1: a setting stands before the first [section]: 'kernel'"),
        configured(SECTION + "kernel=\n", "T:4: a file name is missing after 'kernel'"),
        configured("[global]\nchain=\n", "T:2: a file name is missing after 'chain'"),
        configured(SECTION + "options=x\n", "T: the section has no kernel= line: 'a'"),
        configured("# nothing\n", "T: there is no kernel= line"),
        configured(SECTION + "kernel=k\nkernel=k\n", "T:5: the key appears twice in its section: 'kernel'"),
        configured(SECTION + "kernle=k\n", "T:4: unknown key (known: options, kernel, ramdisk, module, ucode, video, dtb): 'kernle'"),
        configured("[global]\nfoo=1\n", "T:2: unknown key in [global] (known: default, chain, options, ucode, video, dtb): 'foo'"),
        configured(SECTION + "hello\n", "T:4: expected [section], key=value or a comment, found 'hello'"),
        configured(SECTION + "kernel=k\nxsm=policy\n", "T:5: xsm= has no meaning here: who may do what is written in the manifest (dtb=); remove the line"),
        configured("[global]\nchain=T\n", "T: more than 8 files follow each other by chain=, the last one 'T'"),
        configured("[global]\nchain=absent.cfg\n", "T: cannot open the file 'absent.cfg' (not found)"),
        configured(SECTION + "kernel=absent.elf\n", "T:4: cannot open the file 'absent.elf' (not found)"),
        configured(SECTION + "kernel=vmlinuz root=/dev/sda2\nramdisk=initrd\n", "T:4: kernel= names a Linux image: 'vmlinuz'",
                   "Bulkhead's dom0 is a program of its own", "  kernel=bulkhead.elf", "  dtb=manifest.dtb", "  ramdisk=bootfs.cpio", vmlinuz=LINUX),
        configured(SECTION + "kernel=bulkhead.cfg\n", "T:4: the kernel is not an ELF file: 'bulkhead.cfg'"),
        configured(SECTION + "kernel=k1.elf\n", "T:4: the kernel is truncated: 'k1.elf'", k1_elf=kernel[:16384]),
        configured(SECTION + "kernel=k2.elf\n", "T:4: the kernel is not a 64-bit x86 executable: 'k2.elf'", k2_elf=kernel[:16] + struct.pack("<H", 3) + kernel[18:]),
        configured(SECTION + "kernel=k3.elf\n", "T:4: the kernel's program headers are damaged: 'k3.elf'", k3_elf=patched(kernel, 32, 1 << 40)),
        configured(SECTION + "kernel=k4.elf\n", "T:4: this is not Bulkhead's kernel (bulkhead.elf): it is linked for other addresses: 'k4.elf'", k4_elf=patched(kernel, struct.unpack_from("<Q", kernel, 32)[0] + 24, 4096)),
        configured(SECTION + "kernel=k5.elf\n", "T:4: the kernel's entry point lies outside of it: 'k5.elf'", k5_elf=patched(kernel, 24, 1 << 40)),
        configured(SECTION + "kernel=bulkhead.elf\n", "T: there is nothing to start: the section has no ramdisk= line (bootfs.cpio)"),
        line_6("module=absent.bin x", "T:6: cannot open the file 'absent.bin' (not found)"),
        line_6("module=small.bin bootfs", "T:6: two modules have the name 'bootfs'"),
        line_6("module=small.bin " + "n" * 48, "T:6: a module's name has 1 to 47 characters: 'nnn"),
        configured(FULL + "module=small.bin one-more\n", "T:21: there are more than 13 module= lines"),
        line_6("ucode=absent.bin", "T:6: cannot open the file 'absent.bin' (not found)"),
        line_6("dtb=a b", "T:6: there is more than one file name: 'b'"),
        line_6("video=1024x768", "T:6: video= expects gfx-WIDTH, gfx-WIDTHxHEIGHT or gfx-WIDTHxHEIGHTxDEPTH, and reads '1024x768'"),
        line_6("options=" + "o" * 1024, "T:6: the hypervisor's options are longer than 1023 characters"),
        ("-cfg=", {}, ["a file name is missing after '-cfg='"]),
        ("a loglvl=all", {}, ["more than one section is named (options of the hypervisor stand behind `--`): 'loglvl=all'"]),
        ("-cfg=größe.cfg", {}, ["bulkhead.efi: the load options are not ASCII text, and are ignored", "bulkhead.cfg: there is nothing to start"]),
        ("-mapbs rescue", {}, ["ignored is the unknown option (known: -cfg=FILE, -basevideo, -help) '-mapbs'", "there is no section named 'rescue'"]),
    ]


def says(m, words, timeout=60):
    """The firmware's console shows `words`, wherever its 80 columns break them, then asks for a key; it is pressed."""
    for sentence in words:
        m.expect(r"\s*".join(re.escape(c) for c in sentence.replace(" ", "")), timeout)
    m.expect(KEY, timeout)
    m.send(" ")


@case("every mistake in arguments and configuration is a sentence with its place, and waits for a key")
def mistakes_are_told():
    made_image = plain_image()
    contents = {f"{FOLDER}/bulkhead.efi": image.need(image.LOADER), f"{FOLDER}/bulkhead.elf": made_image.path("bulkhead.elf"), f"{FOLDER}/small.bin": "x",
                f"{FOLDER}/bulkhead.cfg": SECTION + "kernel=bulkhead.elf\n"}
    rows = []
    for number, (arguments, files, said) in enumerate(mistakes(made_image.path("bulkhead.elf").read_bytes())):
        name = f"t{number}.cfg"
        for file, content in files.items():
            contents[f"{FOLDER}/{name if file == 'T' else file}"] = content.replace("chain=T", f"chain={name}") if isinstance(content, str) else content
        rows.append((arguments.replace("=T", f"={name}"), [re.sub(r"^T(?=:)|(?<=')T(?=')", name, sentence) for sentence in said]))
    script = f"fs0:\ncd \\{FOLDER}\n".replace("/", "\\") + "".join(f"bulkhead.efi {arguments}\n" for arguments, _ in rows) + "bulkhead -help\necho all-told\n"
    contents[SCRIPT] = script.encode("utf-16")  # one of the rows is not ASCII
    with machine("mistakes", made_image, contents, cpus=1, memory=512) as m:
        for _, said in rows:
            says(m, said)
        m.expect(r"usage: bulkhead\.efi \[-cfg=FILE\] \[-basevideo\] \[-help\] \[SECTION\]", 30)
        m.expect(r"^all-told", 30)


# The loader's name, the files beside it, the one that must be read.
SEARCH = (
    ("bulkhead.efi", "bulkhead.cfg xen.cfg", "bulkhead.cfg"),
    ("bulkhead.efi", "xen.cfg", "xen.cfg"),
    ("loader.efi", "bulkhead.cfg loader.cfg xen.cfg", "loader.cfg"),
    ("xen-4.2-unstable.efi", "xen-4.2-unstable.cfg xen-4.2.cfg xen-4.cfg xen.cfg", "xen-4.2-unstable.cfg"),
    ("xen-4.2-unstable.efi", "xen-4.2.cfg xen-4.cfg xen.cfg", "xen-4.2.cfg"),
    ("xen-4.2-unstable.efi", "xen-4.cfg xen.cfg bulkhead.cfg", "xen-4.cfg"),
    ("xen-4.2-unstable.efi", "xen.cfg bulkhead.cfg", "xen.cfg"),
    ("bulkhead_0_1.efi", "bulkhead_0.cfg bulkhead.cfg", "bulkhead_0.cfg"),
    ("a.b-c_d.efi", "a.cfg bulkhead.cfg", "a.cfg"),
    ("other_name.efi", "xen.cfg bulkhead.cfg", "bulkhead.cfg"),
    ("other_name.efi", "", None),
)


@case("the configuration is searched in Xen's order, for eleven names and sets of files")
def search_order():
    made_image = plain_image()
    contents, script = {}, "fs0:\n"
    for number, (loader, files, _) in enumerate(SEARCH):
        contents[f"s{number}/{loader}"] = image.need(image.LOADER)
        for file in files.split():
            contents[f"s{number}/{file}"] = "[a]\nkernel=none\n"
        script += f"\\s{number}\\{loader}\n"
    contents[SCRIPT] = script
    with machine("search", made_image, contents, cpus=1, memory=256) as m:
        for number, (_, _, expected) in enumerate(SEARCH):
            says(m, [f"bulkhead.efi: {expected}:2: cannot open the file 'none' (not found)"] if expected else
                 [f"bulkhead.efi: there is no configuration. Looked in '\\s{number}\\' for other_name.cfg other.cfg bulkhead.cfg xen.cfg; write one of them"])


@case("Secure Boot takes no file that the signature does not cover")
def secure_boot_refuses():
    made_image = plain_image()
    contents = installed(made_image, "EFI/BOOT")
    contents["EFI/BOOT/BOOTX64.EFI"] = signed(copy(image.need(image.LOADER), made_image.path("loader.efi")))
    with machine("secure-refuses", made_image, contents, boot="uefi-secure-medium", cpus=1, memory=256) as m:
        says(m, ["bulkhead.efi: Secure Boot is on, so only files inside the signed image are used (docs/boot.md), and not 'bulkhead.cfg'"])


def damaged_images(made_image):
    """{name: (sections of a unified image, what is said)}"""
    def text(name, content):
        path = made_image.path(name)
        path.write_text(content)
        return path

    good, kernel, small = made_image.system_files()["bulkhead.cfg"], made_image.path("bulkhead.elf"), text("small", "x")
    return {
        "xsm": ({".xsm": good}, ["bulkhead.efi holds a section .xsm, which has no meaning here: who may do what is written in the manifest (.dtb)"]),
        "linux": ({".config": good, ".kernel": guest_kernel()}, ["kernel= names a Linux image: '.kernel'", "  kernel=bulkhead.elf"]),
        "twice": ({".ramdisk": small, ".bootfs": small}, ["bulkhead.efi holds two sections of one name"]),
        "many": ({f".m{n}": small for n in range(17)}, ["bulkhead.efi holds more than 16 modules"]),
        "long": ({".config": text("long", "#" * 70000)}, [".config: the file is larger than 64 KiB"]),
        "full": ({".config": text("full", FULL), ".kernel": kernel, ".more": small}, ["bulkhead.efi: there is no room for more than 16 modules: 'more'"]),
    }


@case("too little memory, a machine without ACPI and damaged unified images are sentences, too")
def poor_machine():
    made_image = plain_image()
    damaged = damaged_images(made_image)
    contents = {f"{FOLDER}/bulkhead.efi": image.need(image.LOADER), f"{FOLDER}/bulkhead.elf": made_image.path("bulkhead.elf"), f"{FOLDER}/big.bin": bytes(160 << 20),
                f"{FOLDER}/bulkhead.cfg": SECTION + "kernel=bulkhead.elf\nramdisk=big.bin\n", f"{FOLDER}/small.cfg": SECTION + "kernel=bulkhead.elf\nramdisk=small.cfg\n", f"{FOLDER}/small.bin": "x"}
    contents |= {f"{FOLDER}/{name}.efi": unified(made_image.path(f"{name}.efi"), sections) for name, (sections, _) in damaged.items()}
    contents[SCRIPT] = f"fs0:\ncd \\{FOLDER}\n".replace("/", "\\") + "".join(f"{name}.efi\n" for name in damaged) + "bulkhead.efi\nbulkhead.efi -cfg=small.cfg\n"
    with machine("poor", made_image, contents, cpus=1, memory=192, extra=["-machine", "acpi=off"]) as m:
        for _, said in damaged.values():
            says(m, said)
        says(m, ["bulkhead.efi: there is not enough memory for 'big.bin' (out of memory)"])
        says(m, ["bulkhead.efi: firmware offers no ACPI root pointer (RSDP)"])


@case("a disk that cannot be read, and a loader that came over the network, are sentences")
def no_disk():
    made_image = plain_image()
    marker = b"what cannot be read"
    contents = {"EFI/BOOT/BOOTX64.EFI": image.need(image.LOADER), "EFI/BOOT/bulkhead.cfg": SECTION + "kernel=unreadable\n", "EFI/BOOT/unreadable": bytes(1 << 19) + marker + bytes(1 << 19)}  # the firmware caches what lies around, too
    with partition("unreadable", made_image, contents) as disk:
        sector = disk.read_bytes().index(marker) // 512
        broken = ["-blockdev", "driver=raw,node-name=medium,read-only=on,file.driver=blkdebug,file.image.driver=file,"
                  f"file.image.filename={disk},file.inject-error.0.event=read_aio,file.inject-error.0.errno=5,file.inject-error.0.sector={sector}"]
        extra = broken + qemu.drive("virtio", disk)[2:]
        with TestMachine(made_image, boot="uefi-medium", cpus=1, memory=256, extra=extra, log=LOGS / "uefi-unreadable.log") as m:
            says(m, ["bulkhead.efi: bulkhead.cfg:4: cannot read the file 'unreadable' (device error)"])
    with tempfile.TemporaryDirectory() as folder:
        copy(image.need(image.LOADER), pathlib.Path(folder) / "bulkhead.efi")
        extra = ["-netdev", f"user,id=net,tftp={folder},bootfile=bulkhead.efi", "-device", "virtio-net-pci,netdev=net,romfile=,bootindex=0"]  # OVMF's own PXE, not iPXE, which shows the file as a volume
        with TestMachine(made_image, boot="uefi-medium", cpus=1, memory=256, extra=extra, log=LOGS / "uefi-network.log") as m:
            says(m, ["bulkhead.efi: the volume that the loader came from cannot be opened for 'bulkhead.cfg'"])


def guest_kernel():
    import debian
    return debian.guest_kernel("cloud")
