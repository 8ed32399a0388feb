# SPDX-License-Identifier: Apache-2.0
"""The QEMU command line of a Bulkhead machine."""
import pathlib

from common import Failure

FIRMWARE = pathlib.Path("/usr/share/OVMF")
# An EPYC with SVM; the features switched off are those that QEMU's TCG lacks and would warn about.
CPU = "EPYC,+svm,+umip," + ",".join(f"{f}=off" for f in (
    "rdseed", "sha-ni", "fxsr-opt", "misalignsse", "3dnowprefetch", "osvw", "topoext", "nrip-save", "xsavec"))


def command(image, *, boot, memory, cpus, icount, serial, reboots=True, log=None, extra=()):
    """`serial`: 'terminal' (raw, Ctrl-A X leaves) or 'pipe' (nothing is special in it)."""
    args = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", CPU, "-smp", str(cpus), "-m", f"{memory}M",
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
    args += _firmware(image) if boot == "uefi" else _multiboot(image)
    return args + list(extra)


def _firmware(image):
    code, variables = FIRMWARE / "OVMF_CODE_4M.fd", FIRMWARE / "OVMF_VARS_4M.fd"
    if not code.exists():
        raise Failure(f"{code} is missing; the package ovmf holds it")
    return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
            "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={variables}",
            "-drive", f"if=none,id=esp,format=raw,readonly=on,file={_escape(image.system_partition())}",
            "-device", "virtio-blk-pci,drive=esp,bootindex=0"]


def _multiboot(image):
    # Paths relative to the image's folder (QEMU runs there): -initrd splits at blanks and commas.
    modules = ",".join(f"{file} {name}" for name, file in image.modules.items())
    return ["-kernel", "bulkhead.elf", "-append", image.options, "-initrd", modules]


def _escape(path):
    return str(path).replace(",", ",,")
