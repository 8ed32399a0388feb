# SPDX-License-Identifier: Apache-2.0
"""Four guests on two CPUs; guests that spin or print without end slow nobody else down beyond a small multiple."""
import time

from harness import case, guest_cfg

NAMES = ("one", "two", "three", "four")
MACHINE = dict(auto=False, cpus=2, cfgs={name: guest_cfg(name, vcpus=2) for name in NAMES})
ALONE = True
MULTIPLE = 10   # of the idle time
LEAST = 3.0     # seconds: below this the emulator's own noise rules


def _timed(action):
    started = time.monotonic()
    action()
    return time.monotonic() - started


def _echo(m, name):
    with m.console(name) as guest:
        return _timed(lambda: guest.ok("echo here"))


def _figures(m):
    return {"xl list": _timed(lambda: m.ok("xl list")), "echo in two": _echo(m, "two")}


IDLE = {}


@case("four guests run at once, each with its own shell", long=True)
def four(m):
    for name in NAMES:
        m.ok(f"xl create /etc/xen/{name}.cfg", 120)
    for name in NAMES:
        with m.console(name, timeout=300) as guest:
            assert guest.ok("hostname") == name
    IDLE.update(_figures(m))


def _loaded(mode, start, stop):
    @case(f"one guest {mode}: xl list and another guest's echo stay within {MULTIPLE} times their idle time", long=True)
    def loaded(m):
        with m.console("one") as guest:
            guest.ok(start)
        try:
            figures = _figures(m)
        finally:
            with m.console("one", timeout=300) as guest:
                guest.cmd(stop, 120)
        for what, seconds in figures.items():
            assert seconds <= max(LEAST, MULTIPLE * IDLE[what]), (what, seconds, IDLE[what])
    return loaded


spins_user = _loaded("spins in user mode on all its vCPUs", "spin user >/dev/null", "killall spin")
spins_kernel = _loaded("spins in kernel mode on all its vCPUs", "spin kernel >/dev/null", "killall dd")
chatters = _loaded("prints to its console without end", "(chatter > /dev/hvc0) 2>/dev/null &", "killall yes")


@case("three guests spin: the fourth still answers", long=True)
def three_spin(m):
    for name in ("one", "three", "four"):
        with m.console(name) as guest:
            guest.ok("spin user >/dev/null")
    figures = _figures(m)
    for what, seconds in figures.items():
        assert seconds <= max(LEAST, 2 * MULTIPLE * IDLE[what]), (what, seconds, IDLE[what])


@case("spinning guests can be destroyed", long=True)
def end(m):
    for name in NAMES:
        m.ok(f"xl destroy {name}")
    m.until_gone(*NAMES)
