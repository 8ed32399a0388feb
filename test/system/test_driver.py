# SPDX-License-Identifier: Apache-2.0
"""The driver script's contract, as other people's scripts rely on it."""
import os
import signal
import subprocess
import time

from common import ROOT
from harness import case, folder_of, guest_cfg

MACHINE = None
LIMIT = "600"


def _bulkhead(*args, **options):
    return subprocess.run([ROOT / "bulkhead", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)


def _run(*args):
    return _bulkhead("run", "--boot", "multiboot", "--timeout", LIMIT, *args)


@case("an unknown option or command is a usage error")
def usage():
    for args in (["run", "--frob"], ["frob"], ["run", "--boot", "floppy"], ["run", "--cpus", "0"], ["run", "--cpus", "two"]):
        done = _bulkhead(*args)
        assert done.returncode == 2 and done.stderr.strip() and not done.stdout, (args, done)


@case("a --cfg file that does not exist, or names a kernel that does not, is one sentence")
def missing():
    done = _run("--cfg", "/no/such.cfg")
    assert done.returncode == 1 and "/no/such.cfg" in done.stderr, done
    with folder_of({"x.cfg": 'name = "x"\nkernel = "/no/such/kernel"\n'}) as folder:
        done = _run("--cfg", str(folder / "x.cfg"))
        assert done.returncode == 1 and "/no/such/kernel" in done.stderr and "Traceback" not in done.stderr, done


@case("--exec prints what the commands print, and its status says whether all succeeded")
def execute():
    done = _run("--exec", "echo hello from dom0", "--exec", "xl list")
    assert done.returncode == 0, done
    assert done.stdout.startswith("hello from dom0\n") and "Domain-0" in done.stdout, done
    done = _run("--exec", "xl destroy nobody", "--exec", "echo still here")
    assert done.returncode == 1 and "still here" in done.stdout, done


@case("--cfg travels with its kernel and ramdisk, and starts only with --auto")
def cfg():
    with folder_of({"mine.cfg": guest_cfg("mine").replace("/boot/vmlinuz-cloud", str(ROOT / "out/guests/vmlinuz-cloud")).replace("/boot/initramfs", str(ROOT / "out/guests/initramfs"))}) as folder:
        done = _run("--cfg", str(folder / "mine.cfg"), "--exec", "xl list", "--exec", "xl create /etc/xen/mine.cfg", "--exec", "xl domid mine")
        assert done.returncode == 0 and "debian" not in done.stdout, done
        done = _run("--cfg", str(folder / "mine.cfg"), "--auto", "--exec", "xl domid mine")
        assert done.returncode == 0, done


@case("--timeout ends the machine with status 124, --log keeps the console")
def timeout():
    with folder_of({}) as folder:
        started = time.monotonic()
        done = _bulkhead("run", "--boot", "multiboot", "--timeout", "5", "--log", str(folder / "console"))
        assert done.returncode == 124 and time.monotonic() - started < 60, done
        assert (folder / "console").stat().st_size > 0


@case("a signal ends everything that was started, with a sentence")
def signalled():
    process = subprocess.Popen([ROOT / "bulkhead", "run", "--boot", "multiboot"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    assert children, "no QEMU below the driver script"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM and "nothing is left running" in errors, (process.returncode, errors)
    for child in children:
        assert not os.path.exists(f"/proc/{child}"), child


@case("a second run with nothing changed starts QEMU within three seconds")
def quick():
    started = time.monotonic()
    process = subprocess.Popen([ROOT / "bulkhead", "run", "--boot", "multiboot"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        while not subprocess.run(["pgrep", "-P", str(process.pid), "qemu"], capture_output=True).stdout:
            assert time.monotonic() - started < 3 and process.poll() is None, "QEMU was not started within three seconds"
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait()
