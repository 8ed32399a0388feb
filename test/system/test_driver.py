# SPDX-License-Identifier: Apache-2.0
"""The driver script's contract, as other people's scripts rely on it."""
import os
import pathlib
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
    for args in (["run", "--frob"], ["frob"], ["run", "--boot", "floppy"], ["run", "--cpus", "0"], ["run", "--cpus", "two"], ["run", "--memory", "64"]):
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


def _alive(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _heed_signals():
    """SIGHUP reaches a driver script even if these tests run below nohup, and SIGINT if a script runs them in the background."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _signalled(*options, by):
    process = subprocess.Popen([ROOT / "bulkhead", "run", "--boot", "multiboot", *options], preexec_fn=_heed_signals, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 120
    while not (children := subprocess.run(["pgrep", "-P", str(process.pid), "qemu"], capture_output=True, text=True).stdout.split()):
        assert process.poll() is None and time.monotonic() < limit, "no QEMU below the driver script"
        time.sleep(0.05)
    process.send_signal(by)
    _, errors = process.communicate(timeout=60)
    limit = time.monotonic() + 30  # the kernel ends the machine of a driver script that was killed itself, in its own time
    while left := [child for child in children if _alive(child)]:
        assert time.monotonic() < limit, f"still running: {left}"
        time.sleep(0.05)
    return process.returncode, errors


@case("SIGINT, SIGTERM and SIGHUP end everything that was started, with a sentence")
def signalled():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for options in ([], ["--exec", "sleep 1000"]):
            status, errors = _signalled(*options, by=number)
            assert status == 128 + number and "nothing is left running" in errors and "Traceback" not in errors, (number, options, status, errors)


@case("even a killed driver script leaves no machine behind")
def killed():
    status, _ = _signalled("--exec", "sleep 1000", by=signal.SIGKILL)
    assert status == -signal.SIGKILL


@case("a full disk is one sentence, and nothing is left running")
def full_disk():
    done = _run("--log", "/dev/full", "--exec", "xl list")
    assert done.returncode == 1 and "/dev/full: the disk is full" in done.stderr and "Traceback" not in done.stderr, done
    # out/ on a file system of four megabytes, in a mount namespace of its own.
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", f"mount -t tmpfs -o size=4m none {ROOT / 'out'} && exec {ROOT / 'bulkhead'} run --boot multiboot --exec true"]
    done = subprocess.run(inside, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if "unshare" in done.stderr:
        return  # this host lets nobody mount; the first half stands
    assert done.returncode == 1 and "full" in done.stderr and "Traceback" not in done.stderr, done


@case("paths with blanks, commas and quotes travel")
def odd_names():
    kernel, ramdisk = (ROOT / "out" / "guests" / name for name in ("vmlinuz-cloud", "initramfs"))
    with folder_of({}) as folder:
        odd = folder / "a, b;c"
        odd.mkdir()
        (odd / "my kernel,1").symlink_to(kernel)
        (odd / "ramdisk").symlink_to(ramdisk)
        (odd / "it's one, or two.cfg").write_text("name = 'odd'; kernel = 'my kernel,1' # beside this file\nramdisk = \"ramdisk\"; extra = 'console=hvc0'\n")
        done = _run("--cfg", str(odd / "it's one, or two.cfg"), "--log", str(odd / "console, log"), "--exec", "ls /etc/xen", "--exec", 'xl create -p "/etc/xen/it\'s one, or two.cfg"', "--exec", "xl domid odd")
        assert done.returncode == 0 and "it's one, or two.cfg" in done.stdout, done
        assert (odd / "console, log").stat().st_size > 0


@case("two --cfg files of one name, a missing tool and a folder that cannot be written are each one sentence")
def one_sentence():
    with folder_of({"x.cfg": 'name = "x"\nkernel = "/boot/vmlinuz-cloud"\n'}) as folder:
        for name in ("sub", "bin"):
            (folder / name).mkdir()
        for program in pathlib.Path("/usr/bin").iterdir():
            if not program.name.startswith("qemu-system"):
                (folder / "bin" / program.name).symlink_to(program)
        (folder / "sub" / "x.cfg").write_text("")
        for arguments, environment, words in (
                (["--cfg", str(folder / "x.cfg"), "--cfg", str(folder / "sub" / "x.cfg")], {}, "two --cfg files are called x.cfg"),
                ([], {"PATH": str(folder / "bin")}, "qemu-system-x86_64 is not installed"),
                (["--exec", "true"], {"PATH": str(folder / "bin")}, "qemu-system-x86_64 is not installed"),
                (["--cfg", str(folder)], {}, "there is no such file"),
                (["--log", str(folder / "nowhere" / "log")], {}, "No such file or directory"),
                (["--qemu-arg=-frobnicate", "--exec", "true"], {}, "-frobnicate: invalid option")):
            done = _bulkhead("run", "--boot", "multiboot", "--timeout", LIMIT, *arguments, env=os.environ | environment)
            assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr, done


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
