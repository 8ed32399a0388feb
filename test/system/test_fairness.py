# SPDX-License-Identifier: Apache-2.0
"""Guests that never rest slow nobody else down beyond a bound. One CPU, whose clock counts instructions (--icount): the hardest case,
and figures that a busy host does not change. The limit is 200 million instructions for `xl list` and for an echo."""
import fairness
from harness import case

MACHINE = dict(auto=False, cpus=1, icount=True, cfgs=fairness.CFGS)
LIMIT = 200_000_000  # instructions


def _answers(m, quiet):
    for what, cost in fairness.costs(m, quiet).items():
        assert cost <= LIMIT, f"{what} took {cost / 1e6:.1f} million instructions, and may take {LIMIT / 1e6:.0f}"


@case("four guests with two vCPUs each run on one CPU, each with its own shell")
def four(m):
    fairness.start(m)


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
    fairness.chatter(m, "one")
    _answers(m, "two")


@case("while it prints, two more guests spin: `xl list` and the fourth's echo take at most 200 million instructions")
def three_busy(m):
    for name, mode in (("three", "kernel"), ("four", "user")):
        fairness.spin(m, name, mode)
    _answers(m, "two")


@case("spinning guests can be destroyed")
def end(m):
    fairness.end(m)
