# SPDX-License-Identifier: Apache-2.0
"""Four guests that may never rest, and what dom0 and one of them then take to answer: for test_fairness.py and test_fairness_smp.py."""
import re
import statistics

from harness import GUEST_PROMPT, guest_cfg

NAMES = ("one", "two", "three", "four")
CFGS = {name: guest_cfg(name, vcpus=2, memory=192) for name in NAMES}
TRIES = 3  # the median counts


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


def costs(m, quiet):
    """In ticks of the TSC, by what was asked."""
    return {"xl list": _xl_list(m), f"an echo in '{quiet}'": _echo(m, quiet)}


def start(m):
    for name in NAMES:
        m.ok(f"xl create /etc/xen/{name}.cfg", 120)
    for name in NAMES:
        with m.console(name, timeout=300) as guest:
            assert guest.ok("hostname") == name


def spin(m, name, mode):
    """On both its vCPUs, in "user" or "kernel" mode, until it is destroyed."""
    with m.console(name) as guest:
        guest.ok(f"spin {mode} >/dev/null")


def chatter(m, name):
    """Prints without end; it begins when nobody looks, or its shell's prompt would drown."""
    with m.console(name) as guest:
        guest.ok("(xenstore-watch -n 2 data/chat; chatter) >/dev/hvc0 2>/dev/null &")
    m.ok(f"xenstore-write /local/domain/{m.ok(f'xl domid {name}')}/data/chat 1")


def end(m):
    assert set(NAMES) <= set(m.domains()), m.ok("xl dmesg")
    for name in NAMES:
        m.ok(f"xl destroy {name}")
    m.until_gone(*NAMES)
