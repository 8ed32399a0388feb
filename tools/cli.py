# SPDX-License-Identifier: Apache-2.0
"""./bulkhead run | build | image | install | package | test | bench | clean: the options, and what each command does in a few lines."""
import argparse
import pathlib
import shutil
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import BUILD, OUT, Failure, explain, say


def parser():
    top = argparse.ArgumentParser(prog="bulkhead", description="Builds, runs and tests the Bulkhead hypervisor.", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="build, boot in QEMU, leave you at the dom0 prompt", allow_abbrev=False)
    run.add_argument("--cfg", action="append", default=[], metavar="FILE.cfg", help="a host xl.cfg file: travels into the boot image with its kernel= and ramdisk= files, as /etc/xen/<basename>.cfg")
    run.add_argument("--auto", action="store_true", help="start the --cfg guests at boot (without --cfg the sample guest always is)")
    run.add_argument("--exec", action="append", default=[], metavar="CMD", dest="commands", help="run this at the dom0 prompt, print its output, power off; status 1 if any failed")
    run.add_argument("--boot", choices=("uefi", "multiboot"), default="uefi", help="by OVMF and bulkhead.efi (default), or by QEMU's -kernel, which is quicker")
    run.add_argument("--memory", type=_number(128, 1 << 20), default=2048, metavar="MiB", help="default: 2048")
    run.add_argument("--cpus", type=_number(1, 64), default=2, metavar="N", help="default: 2")
    run.add_argument("--icount", action="store_true", help="count instructions: one TSC tick is one retired instruction")
    run.add_argument("--timeout", type=_number(1, 1 << 20), metavar="S", help="end the machine after this many seconds, status 124")
    run.add_argument("--qemu-arg", action="append", default=[], metavar="ARG", help="one more argument for QEMU; write --qemu-arg=-foo")
    run.add_argument("--log", metavar="FILE", help="copy the console into this file")

    commands.add_parser("build", help="build everything that run needs", allow_abbrev=False)
    image = commands.add_parser("image", help="make one bootable image for a USB stick or CD", allow_abbrev=False)
    image.add_argument("--out", metavar="FILE", help="default: out/bulkhead-VERSION.FORMAT")
    image.add_argument("--format", choices=("usb", "iso", "esp"), default="usb", help="usb (default): a disk with a FAT partition, for BIOS and UEFI; iso: a CD for both, also when written to a stick; esp: a disk with bulkhead.efi alone, for UEFI")
    install = commands.add_parser("install", help="put Bulkhead beside what this machine boots", allow_abbrev=False)
    install.add_argument("--efi-dir", required=True, metavar="DIR", help="folder on the EFI system partition: bulkhead.efi, its configuration, and what that names")
    install.add_argument("--boot-dir", required=True, metavar="DIR", help="folder that GRUB or Syslinux reads: kernel, manifest, boot archive")
    for command in (image, install):
        command.add_argument("--cfg", action="append", default=[], metavar="FILE.cfg", help="as for run: a guest that travels in the boot archive")
        command.add_argument("--auto", action="store_true", help="start the --cfg guests at boot (without --cfg the sample guest always is)")
        command.add_argument("--options", default="", metavar="TEXT", help="options for the kernel")
    package = commands.add_parser("package", help="make the Debian packages bulkhead and bulkhead-stubdom", allow_abbrev=False)
    package.add_argument("--out", metavar="DIR", help="default: out/")

    test = commands.add_parser("test", help="build, run the tests, end with 'N passed, N failed'", allow_abbrev=False)
    test.add_argument("names", nargs="*", metavar="unit|system|NAME", help="a kind of test, or part of the name of a test or a case; default: all")
    bench = commands.add_parser("bench", help="measure in retired instructions, beside targets and peers", allow_abbrev=False)
    bench.add_argument("groups", nargs="*", metavar="GROUP", help="kernel, guest, ring, xenstore, domain, system; default: all")
    bench.add_argument("--json", metavar="FILE", help="write the table as JSON too ('-': to standard output, without the table)")
    commands.add_parser("clean", help="remove build/ and out/", allow_abbrev=False)
    return top


def _number(least, most):
    def convert(text):
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} to {most}")
        return int(text)
    return convert


def main():
    # SIGTERM and SIGHUP unwind like Ctrl-C, so that every `with` and `finally` leaves nothing running. What nohup or a shell had
    # ignored stays so.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    top = parser()
    options = top.parse_args()
    if options.command is None:
        top.print_help()
        return 2
    if options.command == "run":
        import runner
        return runner.run(options)
    if options.command == "build":
        import image
        image.build()
        return 0
    if options.command == "image":
        import media
        media.main(options)
        return 0
    if options.command == "install":
        import install
        return install.main(options)
    if options.command == "package":
        import package
        package.main(options)
        return 0
    if options.command == "test":
        import testing
        return testing.main(options.names)
    if options.command == "bench":
        import bench
        return bench.main(options.groups, options.json)
    for folder in (BUILD, OUT):
        if folder.exists():
            shutil.rmtree(folder)
    return 0


class Interrupted(BaseException):
    pass


def _interrupt(number, _frame):
    raise Interrupted(number)


if __name__ == "__main__":
    try:
        code = main()
    except Failure as failure:
        say(failure)
        code = 1
    except KeyboardInterrupt:
        say("interrupted; nothing is left running")
        code = 128 + signal.SIGINT
    except Interrupted as interrupted:
        say(f"ended by {signal.Signals(interrupted.args[0]).name}; nothing is left running")
        code = 128 + interrupted.args[0]
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except OSError as error:
        say(explain(error))
        code = 1
    sys.exit(code)
