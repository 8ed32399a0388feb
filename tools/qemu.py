# SPDX-License-Identifier: Apache-2.0
"""The QEMU command line of a Bulkhead machine."""
import pathlib

from common import Failure

FIRMWARE = pathlib.Path("/usr/share/OVMF")
# An EPYC with SVM; the features switched off are those that QEMU's TCG lacks and would warn about.
CPU = "EPYC,+svm,+umip," + ",".join(f"{f}=off" for f in (
    "rdseed", "sha-ni", "fxsr-opt", "misalignsse", "3dnowprefetch", "osvw", "topoext", "nrip-save", "xsavec"))


def command(image, *, boot, memory, cpus, icount, serial, reboots=True, parallel=False, log=None, extra=()):
    """`boot`: 'multiboot', 'uefi', or by a medium among `extra`: 'bios-medium', 'uefi-medium', 'uefi-secure-medium' (Secure Boot with the ovmf package's test key). `serial`: 'terminal' (raw, Ctrl-A X leaves) or 'pipe' (nothing is special in it).

    `parallel`: each CPU has a thread of the host's. Not where guests run on the second CPU: its XRSTOR changes a word of the first CPU's (QEMU 7.2,
    cpu_clear_ignne) without a lock, in which that keeps GIF, whether nested paging is on and more, and a #VMEXIT or CLGI of the first gets lost."""
    args = ["qemu-system-x86_64", "-accel", f"tcg,thread={'multi' if parallel else 'single'}", "-machine", "q35", "-cpu", CPU, "-smp", str(cpus), "-m", f"{memory}M",
            "-nodefaults", "-no-user-config", "-display", "none"]
    if icount:
        args += ["-icount", "shift=0,sleep=off"]
    if not reboots:
        args += ["-no-reboot"]
    chardev = "stdio,id=console,signal=off" + (",mux=on" if serial == "terminal" else "")
    if log:
        chardev += ",logfile=" + _escape(log)
    args += ["-chardev", chardev, "-serial", "chardev:console"]
    if serial == "terminal":
        args += ["-mon", "chardev=console,mode=readline"]
    if boot == "multiboot":
        args += _multiboot(image)
    if boot.startswith("uefi"):
        args += _firmware(secure="secure" in boot)
    if boot == "uefi":
        args += drive("virtio", image.system_partition())
    return args + list(extra)


def drive(kind, path, writable=False):
    """A medium to boot from: on a "virtio" disk, a "usb" stick or a "cd"."""
    node = ["-drive", f"if=none,id=medium,format=raw,readonly={'off' if writable else 'on'},file={_escape(path)}" + (",media=cdrom" if kind == "cd" else "")]
    devices = {"virtio": ["virtio-blk-pci,drive=medium,bootindex=0"], "usb": ["qemu-xhci", "usb-storage,drive=medium,bootindex=0"], "cd": ["ide-cd,drive=medium,bootindex=0"]}
    return node + [word for device in devices[kind] for word in ("-device", device)]


def _firmware(secure):
    code, variables = FIRMWARE / "OVMF_CODE_4M.fd", FIRMWARE / ("OVMF_VARS_4M.snakeoil.fd" if secure else "OVMF_VARS_4M.fd")
    if not code.exists():
        raise Failure(f"{code} is missing; the package ovmf holds it")
    return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
            "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={variables}"]


def _multiboot(image):
    # Paths relative to the image's folder (QEMU runs there): -initrd splits at blanks and commas.
    modules = ",".join(f"{file} {name}" for name, file in image.modules.items())
    return ["-kernel", "bulkhead.elf", "-append", image.options, "-initrd", modules]


def _escape(path):
    return str(path).replace(",", ",,")
