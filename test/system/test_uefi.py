# SPDX-License-Identifier: Apache-2.0
"""Each way by which UEFI starts Xen starts Bulkhead, with a guest; each mistake is a sentence on the firmware's console, and waits for a key."""
import contextlib
import pathlib
import re
import shutil
import struct
import tempfile

import esp
import harness
import image
import qemu
from common import LOGS, fresh, made, replacing, run
from harness import case

MACHINE = None
FOLDER = "EFI/bulkhead"
GUEST = "debian"
SYSTEMD_BOOT = pathlib.Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
SNAKEOIL = pathlib.Path("/usr/share/ovmf/PkKek-1-snakeoil")
# OVMF's shell starts where nothing else can be booted, and runs this script from the volume's root.
SCRIPT = "startup.nsh"
KEY = r"Press any key to return to the firmware\."


def plain_image(options="loglvl=all"):
    return image.Image(options=options).prepare()


def installed(made_image, folder=FOLDER, loader="bulkhead.efi", configuration="bulkhead.cfg"):
    """The loader and what belongs to it, in a folder of the EFI system partition."""
    files = made_image.system_files()
    files[configuration] = files.pop("bulkhead.cfg")
    return {f"{folder}/{loader}": image.need(image.LOADER)} | {f"{folder}/{name}": path for name, path in files.items()}


@contextlib.contextmanager
def machine(name, made_image, contents, boot="uefi-medium", extra=(), **how):
    disk = esp.make(made_image.path(f"{name}.img"), contents)
    try:
        with harness.TestMachine(made_image, boot=boot, extra=[*qemu.drive("virtio", disk), *extra], log=LOGS / f"uefi-{name}.log", **how) as m:
            yield m
    finally:
        disk.unlink()


def reaches_guest(m, cpus, memory):
    """At dom0's prompt, the machine is what it should be and the guest runs."""
    m.boot_to_prompt()
    info = m.info()
    assert int(info["nr_cpus"]) == cpus, info["nr_cpus"]
    # All memory but what firmware keeps for itself, also that above 4 GiB.
    assert memory - 48 <= int(info["total_memory"]) <= memory, info["total_memory"]
    assert int(info["free_memory"]) >= memory - 448, info["free_memory"]
    m.until(lambda: m.domains().get(GUEST, {}).get("time", 0) > 0, 60, f"{GUEST} running")


# --- the ways to boot ------------------------------------------------------------------------------------------------


@case("\\EFI\\BOOT\\BOOTX64.EFI: 1 CPU, 512 MiB")
def default_path():
    made_image = plain_image()
    with machine("default", made_image, installed(made_image, "EFI/BOOT", "BOOTX64.EFI"), cpus=1, memory=512) as m:
        m.expect(r"Bulkhead: loading bulkhead of bulkhead\.cfg", 60)
        m.expect(r"Bulkhead: options 'loglvl=all'", 30)
        reaches_guest(m, 1, 512)


@case("from the EFI shell, with -cfg=, a section and options: 2 CPUs, 6 GiB")
def shell():
    made_image = plain_image()
    contents = installed(made_image, configuration="other.cfg")
    text = contents[f"{FOLDER}/other.cfg"].read_text()
    # Backslashes and slashes, relative to the loader, and a chain of files.
    text = text.replace("[bulkhead]", "[rescue]").replace("default=bulkhead", "default=none").replace("kernel=", "kernel=..\\bulkhead/").replace("dtb=", "dtb=\\efi\\bulkhead\\")
    contents[f"{FOLDER}/other.cfg"] = text
    contents[f"{FOLDER}/cfg/first.cfg"] = "[global]\nchain=other.cfg\n[x]\nkernel=none\n"
    contents[SCRIPT] = f"fs0:\ncd \\\n\\EFI\\bulkhead\\bulkhead.efi -cfg=cfg/first.cfg rescue -basevideo -- com1=115200\n"
    with machine("shell", made_image, contents, cpus=2, memory=6144) as m:
        m.expect(r"Bulkhead: loading rescue of other\.cfg", 60)
        m.expect(r"Bulkhead: options 'loglvl=all com1=115200'", 30)
        reaches_guest(m, 2, 6144)


@case("from systemd-boot, by an entry with a section: 2 CPUs, 512 MiB")
def systemd_boot():
    made_image = plain_image()
    contents = installed(made_image, loader="bulkhead-0.1.efi", configuration="xen.cfg") | {
        "EFI/BOOT/BOOTX64.EFI": SYSTEMD_BOOT,
        "loader/loader.conf": "timeout 0\ndefault bulkhead.conf\n",
        "loader/entries/bulkhead.conf": f"title Bulkhead\nefi /{FOLDER}/bulkhead-0.1.efi\noptions bulkhead\n"}
    with machine("systemd", made_image, contents, cpus=2, memory=512) as m:
        m.expect(r"Bulkhead: loading bulkhead of xen\.cfg", 60)
        reaches_guest(m, 2, 512)


@case("from GRUB by chainloader, with a video mode (which vga= does not overrule) and microcode: 1 CPU, 6 GiB")
def grub():
    made_image = plain_image()
    contents = installed(made_image)
    text = contents[f"{FOLDER}/bulkhead.cfg"].read_text() + "video=gfx-1024x768x32\nucode=ucode.bin\n"
    contents[f"{FOLDER}/ucode.bin"] = "no microcode\n"
    contents[f"{FOLDER}/bulkhead.cfg"] = text
    contents["EFI/BOOT/BOOTX64.EFI"] = grub_program(made_image.path("grub.efi"), f"search --no-floppy --set=root --file /{FOLDER}/bulkhead.efi\n"
                                                    f"chainloader /{FOLDER}/bulkhead.efi bulkhead -- noreboot vga=gfx-640x480x32\nboot\n")
    with machine("grub", made_image, contents, cpus=1, memory=6144, extra=["-device", "VGA"]) as m:
        m.expect(r"Bulkhead: loading bulkhead of bulkhead\.cfg", 60)
        m.expect(r"Bulkhead: options 'loglvl=all noreboot vga=gfx-640x480x32'", 30)
        m.expect(r"Bulkhead: screen 1024x768, 32 bits", 30)
        m.expect(r"kernel: option 'vga=': the loader left the screen at 1024x768 pixels", 30)
        m.expect(r"kernel: the microcode \(ucode=\) is not applied", 30)
        reaches_guest(m, 1, 6144)


def grub_program(target, script):
    if not fresh(target, [], script):
        with tempfile.TemporaryDirectory() as folder, replacing(target) as temporary:
            configuration = pathlib.Path(folder) / "grub.cfg"
            configuration.write_text(script)
            run(["grub-mkstandalone", "-O", "x86_64-efi", "-o", temporary, "--install-modules=part_gpt fat search search_fs_file chain normal boot",
                 "--modules=part_gpt fat search search_fs_file chain", "--locales=", "--fonts=", "--themes=", f"boot/grub/grub.cfg={configuration}"], "making GRUB for UEFI")
        made(target, [], script)
    return target


# --- everything in one image -----------------------------------------------------------------------------------------


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


@case("a unified image is all that is needed: 2 CPUs, 2 GiB")
def unified_image():
    made_image = plain_image()
    program = unified(made_image.path("unified.efi"), all_sections(made_image))
    with machine("unified", made_image, {"EFI/BOOT/BOOTX64.EFI": program}, cpus=2, memory=2048) as m:
        m.expect(r"Bulkhead: loading bulkhead of \.config", 60)
        reaches_guest(m, 2, 2048)


def signed(program):
    """By the ovmf package's test key, whose certificate the firmware of 'uefi-secure-medium' trusts."""
    target = program.with_suffix(".signed.efi")
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder) / "key.pem"
        run(["openssl", "rsa", "-in", SNAKEOIL.with_suffix(".key"), "-passin", "pass:snakeoil", "-out", key], "reading the test key")
        run(["sbsign", "--key", key, "--cert", SNAKEOIL.with_suffix(".pem"), "--output", target, program], "signing the image")
    return target


@case("Secure Boot takes the signed unified image, and no options from outside: 2 CPUs, 1 GiB")
def secure_boot():
    made_image = plain_image()
    program = signed(unified(made_image.path("secure.efi"), all_sections(made_image)))
    contents = {f"{FOLDER}/bulkhead.efi": program, "EFI/BOOT/BOOTX64.EFI": signed(copy(SYSTEMD_BOOT, made_image.path("systemd-boot.efi"))),
                "loader/loader.conf": "timeout 0\ndefault bulkhead.conf\n",
                "loader/entries/bulkhead.conf": f"title Bulkhead\nefi /{FOLDER}/bulkhead.efi\noptions -cfg=other.cfg -- noreboot\n"}
    with machine("secure", made_image, contents, boot="uefi-secure-medium", cpus=2, memory=1024) as m:
        m.expect(r"bulkhead\.efi: Secure Boot is on; ignored are the options 'noreboot'", 60)
        m.expect(r"bulkhead\.efi: the configuration inside this image is used; ignored is -cfg= 'other\.cfg'", 30)
        m.expect(r"Bulkhead: options 'loglvl=all'", 30)
        reaches_guest(m, 2, 1024)


@case("Secure Boot takes no file that the signature does not cover")
def secure_boot_refuses():
    made_image = plain_image()
    contents = installed(made_image, "EFI/BOOT")
    contents["EFI/BOOT/BOOTX64.EFI"] = signed(copy(image.need(image.LOADER), made_image.path("loader.efi")))
    with machine("secure-refuses", made_image, contents, boot="uefi-secure-medium", cpus=1, memory=256) as m:
        says(m, ["bulkhead.efi: Secure Boot is on, so only files inside the signed image are used (docs/boot.md), and not 'bulkhead.cfg'"])


def copy(source, target):
    shutil.copyfile(source, target)
    return target


@case("the image carries .sbat for revocation, and names its component")
def sbat():
    with tempfile.TemporaryDirectory() as folder:
        section = pathlib.Path(folder) / "sbat"
        run(["objcopy", "--dump-section", f".sbat={section}", image.need(image.LOADER), pathlib.Path(folder) / "copy.efi"], "reading .sbat")
        lines = section.read_text().rstrip("\0\n").splitlines()
    assert lines[0].startswith("sbat,1,SBAT Version,sbat,1,"), lines
    assert re.fullmatch(r"bulkhead,\d+,[^,]+,bulkhead,[^,]+,[^,]+", lines[1]), lines


@case("the image is relocated as GNU-EFI can: nothing in it is found by a symbol's name")
def relocations():
    kinds = re.findall(r"R_X86_64_\w+", run(["readelf", "-rW", image.need(f"{image.LOADER}.so")], "reading the relocations"))
    assert kinds and set(kinds) == {"R_X86_64_RELATIVE"}, set(kinds)


# --- mistakes --------------------------------------------------------------------------------------------------------

SECTION = "[global]\ndefault=a\n[a]\n"
GOOD = SECTION + "kernel=bulkhead.elf\nramdisk=small.bin\n"  # enough for the loader, and quick to load
LINUX = b"\0" * 0x202 + b"HdrS" + b"\0" * 0x200


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
        configured(SECTION + "kernel=bulkhead.elf\n", "T: there is nothing to start: the section has no ramdisk= line (bootfs.cpio)"),
        line_6("module=absent.bin x", "T:6: cannot open the file 'absent.bin' (not found)"),
        line_6("module=small.bin bootfs", "T:6: two modules have the name 'bootfs'"),
        line_6("module=small.bin " + "n" * 48, "T:6: a module's name has 1 to 47 characters: 'nnn"),
        line_6("ucode=absent.bin", "T:6: cannot open the file 'absent.bin' (not found)"),
        line_6("dtb=a b", "T:6: there is more than one file name: 'b'"),
        line_6("video=1024x768", "T:6: video= expects gfx-WIDTH, gfx-WIDTHxHEIGHT or gfx-WIDTHxHEIGHTxDEPTH, and reads '1024x768'"),
        line_6("options=" + "o" * 1024, "T:6: the hypervisor's options are longer than 1023 characters"),
        ("-cfg=", {}, ["a file name is missing after '-cfg='"]),
        ("a loglvl=all", {}, ["more than one section is named (options of the hypervisor stand behind `--`): 'loglvl=all'"]),
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
    contents[SCRIPT] = f"fs0:\ncd \\{FOLDER}\n".replace("/", "\\") + "".join(f"bulkhead.efi {arguments}\n" for arguments, _ in rows) + "bulkhead -help\necho all-told\n"
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


@case("too little memory, a machine without ACPI and a damaged unified image are sentences, too")
def poor_machine():
    made_image = plain_image()
    good = made_image.system_files()["bulkhead.cfg"]
    contents = {f"{FOLDER}/bulkhead.efi": image.need(image.LOADER), f"{FOLDER}/bulkhead.elf": made_image.path("bulkhead.elf"), f"{FOLDER}/big.bin": bytes(160 << 20),
                f"{FOLDER}/bulkhead.cfg": SECTION + "kernel=bulkhead.elf\nramdisk=big.bin\n", f"{FOLDER}/small.cfg": SECTION + "kernel=bulkhead.elf\nramdisk=small.cfg\n",
                f"{FOLDER}/xsm.efi": unified(made_image.path("xsm.efi"), {".xsm": good}), f"{FOLDER}/linux.efi": unified(made_image.path("linux.efi"), {".config": good, ".kernel": guest_kernel()})}
    contents[SCRIPT] = f"fs0:\ncd \\{FOLDER}\n".replace("/", "\\") + "xsm.efi\nlinux.efi\nbulkhead.efi\nbulkhead.efi -cfg=small.cfg\n"
    with machine("poor", made_image, contents, cpus=1, memory=192, extra=["-machine", "acpi=off"]) as m:
        says(m, ["bulkhead.efi holds a section .xsm, which has no meaning here: who may do what is written in the manifest (.dtb)"])
        says(m, ["kernel= names a Linux image: '.kernel'", "  kernel=bulkhead.elf"])
        says(m, ["bulkhead.efi: there is not enough memory for 'big.bin' (out of memory)"])
        says(m, ["bulkhead.efi: firmware offers no ACPI root pointer (RSDP)"])


def guest_kernel():
    import debian
    return debian.guest_kernel("cloud")
