# SPDX-License-Identifier: Apache-2.0
"""Guests that never rest slow nobody else down beyond a bound. One CPU, whose clock counts instructions (--icount): the hardest case,
and figures that a busy host does not change. Limits are the issue's: 200 million instructions for `xl list` and for an echo."""
import re
import statistics

from harness import GUEST_PROMPT, case, guest_cfg

NAMES = ("one", "two", "three", "four")
MACHINE = dict(auto=False, cpus=1, icount=True, cfgs={name: guest_cfg(name, vcpus=2, memory=192) for name in NAMES})
LIMIT = 200_000_000  # instructions
TRIES = 3            # the median counts


def _xl_list(m):
    """What `xl list` takes; the three commands are typed as one line, so nothing of the host is in it."""
    costs = []
    for _ in range(TRIES):
        stamps = re.findall(r"^tsc=(\d+)", m.ok("tsc; xl list; tsc"), re.M)
        assert len(stamps) == 2, stamps
        costs.append(int(stamps[1]) - int(stamps[0]))
    return statistics.median(costs)


def _echo(m, name):
    """From a line that the guest printed to the output of the next command typed at its shell: both ways through the console, and
    through the test's own hands. The guest reads the machine's own counter."""
    with m.console(name):
        stamps = [int(re.search(r"GUEST-TSC (\d+)", m.type_line("clock tsc", 60, GUEST_PROMPT))[1]) for _ in range(TRIES + 1)]
    costs = [later - earlier for earlier, later in zip(stamps, stamps[1:])]
    return statistics.median(costs)


def _answers(m, quiet):
    costs = {"xl list": _xl_list(m), f"an echo in '{quiet}'": _echo(m, quiet)}
    for what, cost in costs.items():
        assert cost <= LIMIT, f"{what} took {cost / 1e6:.1f} million instructions, and may take {LIMIT / 1e6:.0f}"


@case("four guests with two vCPUs each run on one CPU, each with its own shell")
def four(m):
    for name in NAMES:
        m.ok(f"xl create /etc/xen/{name}.cfg", 120)
    for name in NAMES:
        with m.console(name, timeout=300) as guest:
            assert guest.ok("hostname") == name


def _loaded(mode, start, stop):
    @case(f"one guest {mode}: `xl list` and another guest's echo take at most 200 million instructions")
    def loaded(m):
        with m.console("one") as guest:
            guest.ok(start)
        try:
            _answers(m, "two")
        finally:
            with m.console("one", timeout=300) as guest:
                guest.cmd(stop, 120)
    return loaded


spins_user = _loaded("spins in user mode on both its vCPUs", "spin user >/dev/null", "killall spin")
spins_kernel = _loaded("spins in kernel mode on both its vCPUs", "spin kernel >/dev/null", "killall dd")


@case("one guest prints to its console without end: `xl list` and another guest's echo take at most 200 million instructions")
def chatters(m):
    with m.console("one") as guest:  # it begins when nobody looks, or its shell's prompt would drown
        guest.ok("(xenstore-watch -n 2 data/chat; chatter) >/dev/hvc0 2>/dev/null &")
    m.ok(f"xenstore-write /local/domain/{m.ok('xl domid one')}/data/chat 1")
    _answers(m, "two")


@case("while it prints, two more guests spin: `xl list` and the fourth's echo take at most 200 million instructions")
def three_busy(m):
    for name, mode in (("three", "kernel"), ("four", "user")):
        with m.console(name) as guest:
            guest.ok(f"spin {mode} >/dev/null")
    _answers(m, "two")


@case("spinning guests can be destroyed")
def end(m):
    assert set(NAMES) <= set(m.domains()), m.ok("xl dmesg")
    for name in NAMES:
        m.ok(f"xl destroy {name}")
    m.until_gone(*NAMES)
