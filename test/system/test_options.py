# SPDX-License-Identifier: Apache-2.0
"""The boot options with Xen's names: each does what docs/options.md says, and what is not followed is named on the console."""
import contextlib
import socket
import tempfile
import time

from harness import TestMachine, booted, case
from machine import PATIENCE, Timeout
from qemu_sockets import NO_STRAP, sockets

MACHINE = None

LIMITS = ("maxcpus=2 mem=1G conring_size=33k loglvl=all guest_loglvl=all/error dom0_mem=64M,max:1G spec-ctrl=ibpb=no,bti-thunk=retpoline "
          "com1=115200,8n1,0x3f8,4 sync_console watchdog=force watchdog_timeout=5000 bananas=3 cpufreq=xen mem=much sched=credit2 no-nosmp vga=gfx-640x480x32 vga=bright attack.tries=3 -- quiet")
NAMED = (
    "kernel: option 'bananas=3' is unknown and ignored; docs/options.md lists what there is",
    "kernel: option 'cpufreq=xen' is one of Xen's that Bulkhead does not have; it is ignored",
    "kernel: option 'mem=much': 'much' is not understood and ignored; expected: a size, as 2G or 512M",
    "kernel: option 'sched=credit2': 'credit2' is not supported: Bulkhead has one scheduler, weighted round-robin",
    "kernel: option 'watchdog=force': 'force' is not supported: the watchdog runs, and counts no NMIs",
    "kernel: option 'vga=': there is no screen",
    "kernel: option 'vga=bright': 'bright' is not understood and ignored; expected: ask, current,",
)


def _text(m):
    return "\n".join(line.rstrip() for line in m.screen.lines)


@case("maxcpus=, mem=, conring_size=, dom0_mem= limit the machine; watchdog_timeout= is what the timer can wait; sync_console shows the whole log; what is not followed is named on the console and in xl dmesg")
def limits():
    with booted("options-limits", options=LIMITS, cpus=4, extra=NO_STRAP) as m:
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


@case("smt=0 starts one thread of each core; loglvl=none leaves the prompt alone; a polled serial port is a terminal too")
def quiet():
    with booted("options-quiet", options="smt=0 loglvl=none com1=57600,8n1,0x3f8,0", cpus="4,sockets=1,cores=2,threads=2") as m:
        info = m.info()
        assert info["nr_cpus"] == "2", info
        assert "kernel: " not in _text(m) and "supervisor: " not in _text(m), _text(m)
        log = m.ok("xl dmesg")
        assert log.strip().startswith("bulkhead ") and len(log.strip().splitlines()) == 1, log


@contextlib.contextmanager
def _second_port(options, **how):
    """A machine with a screen whose second serial port is a socket: (machine, socket, monitor)."""
    with tempfile.TemporaryDirectory() as folder, sockets() as behind:
        path = f"{folder}/com2"
        m = TestMachine.create("options-com2", options=options, extra=["-device", "VGA", *behind.arguments, "-chardev", f"socket,id=second,path={path},server=on,wait=off", "-serial", "chardev:second"], **how)
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


@case("console=com2 puts the log and dom0's prompt on the second serial port, both ways, and nothing on the first, nor on the screen; nosmp leaves one CPU")
def second_port():
    with _second_port("console=com2 nosmp") as (m, line, monitor):
        boot = _read_until(line, "dom0# ", 60)
        assert "kernel: 1 CPUs" in boot, boot
        line.sendall(b"xl info\r")
        assert "nr_cpus                : 1" in _read_until(line, "xend_config_format", 30)
        assert _text(m).strip() == "", _text(m)
        assert not any("dom0" in text for text in monitor.vga_text()), monitor.vga_text()
        line.sendall(b"poweroff\r")
        m.wait_end(60)


@case("iommu=required refuses to boot without an IOMMU driver, and says so")
def required():
    m = TestMachine.create("options-iommu", options="iommu=required")
    try:
        m.start()
        m.expect(r"kernel panic: option 'iommu=required': there is no IOMMU driver yet", 60)
    finally:
        m.stop()
