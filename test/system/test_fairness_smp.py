# SPDX-License-Identifier: Apache-2.0
"""The same as test_fairness.py on two CPUs, where QEMU's instruction counting crawls: bounds are multiples of what the same answer took
when nothing ran. Measured were 1.5 times for `xl list`, and 5 for an echo beside three busy guests."""
import fairness
from harness import case

MACHINE = dict(auto=False, cpus=2, cfgs=fairness.CFGS)
ALONE = True
TIMES = 20
IDLE = {}


def _answers(m, quiet):
    for what, cost in fairness.costs(m, quiet).items():
        times = cost / IDLE[what]
        assert times <= TIMES, f"{what} took {times:.1f} times as long as when nothing ran, and may take {TIMES} times"


@case("four guests with two vCPUs each run on two CPUs, each with its own shell")
def four(m):
    fairness.start(m)
    IDLE.update(fairness.costs(m, "two"))


@case(f"one more guest spins each time: `xl list` and another guest's echo take at most {TIMES} times what they take at rest")
def busy(m):
    for name, mode in (("one", "user"), ("three", "kernel"), ("four", "user")):
        fairness.spin(m, name, mode)
        _answers(m, "two")


@case(f"one prints without end, two spin: at most {TIMES} times")
def chatters(m):
    m.ok("xl destroy one")
    m.until_gone("one")
    m.ok("xl create /etc/xen/one.cfg", 120)
    with m.console("one", timeout=300) as guest:
        guest.ok("true")
    fairness.chatter(m, "one")
    _answers(m, "two")


@case("spinning guests on two CPUs can be destroyed")
def end(m):
    fairness.end(m)
