# SPDX-License-Identifier: Apache-2.0
"""A root task in the supervisor's place asks the kernel alone: threads, clocks, and a small guest of its own. See test/guests/kernel-root."""
from harness import TestMachine, case

MACHINE = None


def _passes(name, **how):
    with TestMachine.create(name, root="test/guests/kernel-root/kernel-root", memory=512, **how) as m:
        verdict = m.expect(r"kernel-root: (PASS|FAIL)", 120)
        failed = [line.rstrip() for line in m.screen.lines if "FAILED: " in line]
        assert verdict[1] == "PASS", failed


@case("what a VMM asks of the kernel, on one CPU whose clock counts instructions: among it, that an injected interrupt arrives once")
def one_cpu(_):
    _passes("kernel-root-1", cpus=1, icount=True)


@case("the same on two CPUs, and what they ask of each other")
def two_cpus(_):
    _passes("kernel-root-2", cpus=2, parallel=True)
