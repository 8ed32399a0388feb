# SPDX-License-Identifier: Apache-2.0
"""The boot options with Xen's names: each does what docs/options.md says, and what is not followed is named on the console."""
import contextlib
import re
import socket
import struct
import tempfile
import time

from common import BUILD
from harness import TestMachine, booted, case
from machine import PATIENCE, Timeout
from qemu_sockets import CRASH, NO_STRAP, sockets

MACHINE = None

LIMITS = ("maxcpus=2 mem=1G conring_size=33k loglvl=all guest_loglvl=none dom0_mem=64M,max:1G spec-ctrl=ibpb=no,bti-thunk=retpoline "
          "com1=115200,8n1,0x3f8,4 sync_console watchdog=force watchdog_timeout=5000 bananas=3 cpufreq=xen mem=much sched=credit2 no-nosmp vga=gfx-640x480x32 vga=bright attack.tries=3 -- quiet")
NAMED = (
    "kernel: option 'bananas=3' is unknown and ignored; docs/options.md lists what there is",
    "kernel: option 'cpufreq=xen' is one of Xen's that Bulkhead does not have; it is ignored",
    "kernel: option 'mem=much': 'much' is not understood and ignored; expected: a size, as 2G or 512M",
    "kernel: option 'sched=credit2': 'credit2' is not supported: Bulkhead has one scheduler, weighted round-robin",
    "kernel: option 'watchdog=force': 'force' is not supported: the watchdog runs, and counts no NMIs",
    "kernel: option 'vga=': there is no screen",
    "kernel: option 'vga=bright': 'bright' is not understood and ignored; expected: current,",
)


def _crashing_guest():
    """Files for dom0: a guest whose first instruction is undefined, before it has an IDT, and its crash.cfg."""
    kernel = bytearray((BUILD / "test" / "guests" / "bench" / "bench-guest").read_bytes())
    entry, headers = struct.unpack_from("<QQ", kernel, 24)
    offset, address = struct.unpack_from("<QQ", kernel, headers + 8)
    assert entry == address, "its entry is not where its first segment begins"
    kernel[offset:offset + 2] = CRASH
    return {"/boot/crash": bytes(kernel), "/etc/xen/crash.cfg": 'name = "crash"\nkernel = "/boot/crash"\nmemory = 64\non_crash = "destroy"\n'}


def _crash_guest(m):
    """The log, after a guest crashed."""
    m.ok("xl create crash.cfg")
    m.until_gone("crash")
    return m.ok("xl dmesg")


def _text(m):
    return "\n".join(line.rstrip() for line in m.screen.lines)


@case("maxcpus=, mem=, conring_size=, dom0_mem= limit the machine; watchdog_timeout= is what the timer can wait; sync_console shows the whole log; what is not followed is named on the console and in xl dmesg")
def limits():
    with booted("options-limits", options=LIMITS, cpus=4, extra=NO_STRAP, auto=False, files=_crashing_guest()) as m:
        shown = _text(m)
        for sentence in NAMED:
            assert sentence in shown, f"{sentence!r} is not on the console: {shown}"
        for fine in ("'maxcpus", "'conring_size", "'attack", "'quiet", "'com1", "'spec-ctrl", "'no-nosmp", "'dom0_mem"):
            assert f"option {fine}" not in shown, shown
        assert "dom0: start 1" in shown, f"sync_console does not show what is logged after the console service's start: {shown}"
        info = m.info()
        assert info["nr_cpus"] == "2", info
        assert 900 <= int(info["total_memory"]) <= 1024, info
        assert info["xen_commandline"] == LIMITS, info["xen_commandline"]
        assert m.domains()["Domain-0"]["mem"] >= 64, m.domains()
        log = m.ok("xl dmesg")
        for sentence in (*NAMED, "kernel: the log keeps 64 KiB", "supervisor: dom0_mem= asks for 65536 KiB; dom0 gets 65536 KiB",
                         "platform: option 'watchdog_timeout=5000': the TCO timer can wait from 4.8 to 1227.6 s",
                         "platform: watchdog: the TCO timer resets the machine 1227.6 s after it hangs"):
            assert sentence in log, f"{sentence!r} is not in xl dmesg: {log}"
        log = _crash_guest(m)
        assert "(d0) dom0: crash, domain 4, is destroyed" in log and "(d4)" not in log, f"guest_loglvl=none: {log}"


@case("smt=0 starts one thread of each core; loglvl=none leaves the prompt alone, and guest_loglvl= decides on what VMMs say; a polled serial port is a terminal too")
def quiet():
    with booted("options-quiet", auto=False, files=_crashing_guest(), options="smt=0 loglvl=none guest_loglvl=warning com1=57600,8n1,0x3f8,0", cpus="4,sockets=1,cores=2,threads=2") as m:
        info = m.info()
        assert info["nr_cpus"] == "2", info
        assert "kernel: " not in _text(m) and "supervisor: " not in _text(m), _text(m)
        log = m.ok("xl dmesg")
        assert log.strip().startswith("bulkhead ") and len(log.strip().splitlines()) == 1, log
        log = _crash_guest(m).splitlines()[1:]
        assert "(d4) vmm: crash: vcpu 0: triple fault" in log and all(line.startswith("(d4)") for line in log), log


@contextlib.contextmanager
def _second_port(options, device=("-serial", "chardev:second"), trace=""):
    """A machine with a screen whose second serial port is a socket: (machine, socket, monitor)."""
    with tempfile.TemporaryDirectory() as folder, sockets() as behind:
        path = f"{folder}/com2"
        second = ["-chardev", f"socket,id=second,path={path},server=on,wait=off", *device]
        m = TestMachine.create("options-com2", auto=False, options=options, extra=["-device", "VGA", "-trace", trace, *behind.arguments, *second])
        try:
            m.start()
            line = socket.socket(socket.AF_UNIX)
            for _ in range(100):
                with contextlib.suppress(OSError):
                    line.connect(path)
                    break
                time.sleep(0.1)
            line.settimeout(1)
            yield m, line, behind.monitor()
        finally:
            m.stop()


def _read_until(line, wanted, timeout):
    text, end = "", time.monotonic() + timeout * PATIENCE
    while wanted not in text:
        if time.monotonic() > end:
            raise Timeout(f"{wanted!r} did not come over the second serial port: {text}")
        with contextlib.suppress(TimeoutError):
            text += line.recv(4096).decode(errors="replace")
    return text


@case("console=com2, where com2= says, puts the log and dom0's prompt on that serial port, both ways, and nothing on the first, nor on the screen; nosmp leaves one CPU")
def second_port():
    with _second_port("console=com2 com2=115200,8n1,0x2e8,10 nosmp", device=["-device", "isa-serial,chardev=second,iobase=0x2e8,irq=10"]) as (m, line, monitor):
        boot = _read_until(line, "dom0# ", 60)
        assert "kernel: 1 CPUs" in boot, boot
        line.sendall(b"xl info\r")
        assert "nr_cpus                : 1" in _read_until(line, "xend_config_format", 30)
        assert _text(m).strip() == "", _text(m)
        assert not any("dom0" in text for text in monitor.vga_text()), monitor.vga_text()
        line.sendall(b"poweroff\r")
        m.wait_end(60)


@case("a serial port has the line that com2= says, and with com1=auto as the firmware left it; a panic is on every port of console=; iommu=required is one, without an IOMMU driver")
def lines():
    panic = "kernel panic: option 'iommu=required': there is no IOMMU driver yet"
    options = "iommu=required console=com1,com2 com1=auto com2=9600/115200,7e2"
    with _second_port(options, trace="serial_update_parameters") as (m, line, _):
        m.expect(panic, 60)
        assert panic in _read_until(line, "driver yet", 30)
        settings = re.findall(r"baudrate=(\d+) parity='(.)' data=(\d) stop=(\d)", m.errors())
        assert settings[-1:] == [("9600", "E", "7", "2")], settings
        assert "115200" not in {baud for baud, *_ in settings}, f"the first port was set as well: {settings}"
