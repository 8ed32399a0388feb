# SPDX-License-Identifier: Apache-2.0
"""Each way by which UEFI starts Xen starts bulkhead.efi, with one and two CPUs, 512 MiB and 6 GiB, and ends at the dom0 prompt with a
guest that answers. GRUB's own kernel loader and the stick: test_bootways; mistakes: test_uefi."""
import pathlib
import re
import tempfile

import image
import install
import qemu
from bootways import BIG, FOLDER, MACHINES, SCRIPT, SPLIT, check, copy, installed, machine, partition, plain_image, signed, unified, uses_memory_above_4_gib
from common import LOGS, fresh, made, replacing, run
from harness import TestMachine, case

MACHINE = None
SYSTEMD_BOOT = pathlib.Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
FIRMWARE = 48  # MiB, what OVMF keeps


def reaches_guest(m, *said):
    for pattern in said:
        m.expect(pattern, 60)
    m.boot_to_prompt()
    check(m, "bulkhead.efi", FIRMWARE)


def each_reaches_guest(name, made_image, contents, *said, extra=()):
    """The loader says on the firmware's console what matches `said`."""
    with partition(name, made_image, contents) as disk:
        for cpus, memory in MACHINES:
            with TestMachine(made_image, boot="uefi-medium", cpus=cpus, memory=memory, log=LOGS / f"uefi-{name}-{cpus}-{memory}.log",
                             extra=[*qemu.drive("virtio", disk), *extra]) as m:
                reaches_guest(m, *said)


@case("\\EFI\\BOOT\\BOOTX64.EFI")
def default_path():
    made_image = plain_image()
    each_reaches_guest("default", made_image, installed(made_image, "EFI/BOOT", "BOOTX64.EFI"), r"Bulkhead: loading bulkhead of bulkhead\.cfg", r"Bulkhead: options 'loglvl=all'")


@case("from the EFI shell, with -cfg=, a section and options; -basevideo leaves the video mode")
def shell():
    made_image = plain_image()
    contents = installed(made_image, configuration="other.cfg")
    text = contents[f"{FOLDER}/other.cfg"].read_text() + "video=gfx-1024x768x32\n"
    # Backslashes and slashes, relative to the loader, and a chain of files.
    text = text.replace("[bulkhead]", "[rescue]").replace("default=bulkhead", "default=none").replace("kernel=", "kernel=..\\bulkhead/").replace("dtb=", "dtb=\\efi\\bulkhead\\")
    contents[f"{FOLDER}/other.cfg"] = text
    contents[f"{FOLDER}/cfg/first.cfg"] = "[global]\nchain=other.cfg\n[x]\nkernel=none\n"
    contents[SCRIPT] = f"fs0:\ncd \\\n\\EFI\\bulkhead\\bulkhead.efi -cfg=cfg/first.cfg rescue -basevideo -- com1=115200\n"
    each_reaches_guest("shell", made_image, contents, r"Bulkhead: loading rescue of other\.cfg", r"Bulkhead: options 'loglvl=all com1=115200'", extra=["-device", "VGA"])
    assert "Bulkhead: screen" not in (LOGS / "uefi-shell-2-6144.log").read_text(errors="replace")


@case("from systemd-boot, by an `efi` entry with a section; the loader has a version in its name, and finds xen.cfg")
def systemd_boot():
    made_image = plain_image()
    contents = installed(made_image, loader="bulkhead-0.1.efi", configuration="xen.cfg") | {
        "EFI/BOOT/BOOTX64.EFI": SYSTEMD_BOOT,
        "loader/loader.conf": "timeout 0\ndefault bulkhead.conf\n",
        "loader/entries/bulkhead.conf": f"title Bulkhead\nefi /{FOLDER}/bulkhead-0.1.efi\noptions bulkhead\n"}
    each_reaches_guest("systemd", made_image, contents, r"Bulkhead: loading bulkhead of xen\.cfg")


@case("what `./bulkhead install` writes boots by the systemd-boot entry that it writes")
def as_installed():
    made_image = plain_image()
    with tempfile.TemporaryDirectory() as name:
        boot, volume = pathlib.Path(name) / "boot", pathlib.Path(name) / "esp"
        for folder in (boot, volume / FOLDER, volume / "loader"):
            folder.mkdir(parents=True)
        install.install(made_image, boot, volume / FOLDER, image.need(image.LOADER), "loglvl=all")
        contents = {str(path.relative_to(volume)): path.read_bytes() for path in volume.rglob("*") if path.is_file()}
    contents |= {"EFI/BOOT/BOOTX64.EFI": SYSTEMD_BOOT, "loader/loader.conf": "timeout 0\ndefault bulkhead.conf\n"}
    contents[f"{FOLDER}/bulkhead.cfg"] += b"video=gfx-640x480\n"  # which nobody can follow here
    with machine("installed", made_image, contents, cpus=2, memory=512) as m:
        reaches_guest(m, r"Bulkhead: loading bulkhead of bulkhead\.cfg", r"Bulkhead: options 'loglvl=all'", r"there is no screen to set the mode of: 'gfx-640x480'")


@case("from GRUB by chainloader, with a video mode (which vga= does not overrule) and microcode")
def grub():
    made_image = plain_image()
    contents = installed(made_image)
    contents[f"{FOLDER}/ucode.bin"] = "no microcode\n"
    contents[f"{FOLDER}/bulkhead.cfg"] = contents[f"{FOLDER}/bulkhead.cfg"].read_text() + "video=gfx-1024x768x32\nucode=ucode.bin\n"
    contents["EFI/BOOT/BOOTX64.EFI"] = grub_program(made_image.path("grub.efi"), f"search --no-floppy --set=root --file /{FOLDER}/bulkhead.efi\n"
                                                    f"chainloader /{FOLDER}/bulkhead.efi bulkhead -- noreboot vga=gfx-640x480x32\nboot\n")
    each_reaches_guest("grub", made_image, contents, r"Bulkhead: loading bulkhead of bulkhead\.cfg", r"Bulkhead: options 'loglvl=all noreboot vga=gfx-640x480x32'",
                       r"Bulkhead: screen 1024x768, 32 bits", r"kernel: option 'vga=': the loader left the screen at 1024x768 pixels",
                       r"kernel: the microcode \(ucode=\) is not applied", extra=["-device", "VGA"])


def grub_program(target, script):
    if not fresh(target, [], script):
        with tempfile.TemporaryDirectory() as folder, replacing(target) as temporary:
            configuration = pathlib.Path(folder) / "grub.cfg"
            configuration.write_text(script)
            run(["grub-mkstandalone", "-O", "x86_64-efi", "-o", temporary, "--install-modules=part_gpt fat search search_fs_file chain normal boot",
                 "--modules=part_gpt fat search search_fs_file chain", "--locales=", "--fonts=", "--themes=", f"boot/grub/grub.cfg={configuration}"], "making GRUB for UEFI")
        made(target, [], script)
    return target


def all_sections(made_image):
    names = {"manifest": ".dtb", "bootfs": ".ramdisk"}
    return {".config": made_image.system_files()["bulkhead.cfg"], ".kernel": made_image.path("bulkhead.elf")} | {
        names.get(name, f".{name}"): made_image.path(file) for name, file in made_image.modules.items()}


@case("a unified image is all that is needed; of 6 GiB, all but 512 MiB lie above 4 GiB by the firmware's memory map, and a guest fills them")
def unified_image():
    made_image = plain_image(files=BIG)
    sections = all_sections(made_image)
    sections[".config"] = made_image.path("screen.cfg")
    sections[".config"].write_text(made_image.path("bulkhead.cfg").read_text() + "video=gfx-9999x9999\n")
    program = unified(made_image.path("unified.efi"), sections)
    with machine("unified", made_image, {"EFI/BOOT/BOOTX64.EFI": program}, cpus=2, memory=6144, extra=[*SPLIT, "-device", "VGA"]) as m:
        reaches_guest(m, r"Bulkhead: loading bulkhead of \.config", r"the firmware offers no such video mode, so it stays as it is: 'gfx-9999x9999'")
        uses_memory_above_4_gib(m)


@case("Secure Boot takes the signed unified image, and no options from outside: 2 CPUs, 1 GiB")
def secure_boot():
    made_image = plain_image()
    program = signed(unified(made_image.path("secure.efi"), all_sections(made_image)))
    contents = {f"{FOLDER}/bulkhead.efi": program, "EFI/BOOT/BOOTX64.EFI": signed(copy(SYSTEMD_BOOT, made_image.path("systemd-boot.efi"))),
                "loader/loader.conf": "timeout 0\ndefault bulkhead.conf\n",
                "loader/entries/bulkhead.conf": f"title Bulkhead\nefi /{FOLDER}/bulkhead.efi\noptions -cfg=other.cfg -- noreboot\n"}
    with machine("secure", made_image, contents, boot="uefi-secure-medium", cpus=2, memory=1024) as m:
        reaches_guest(m, r"bulkhead\.efi: Secure Boot is on; ignored are the options 'noreboot'",
                      r"bulkhead\.efi: the configuration inside this image is used; ignored is -cfg= 'other\.cfg'", r"Bulkhead: options 'loglvl=all'")


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
