# SPDX-License-Identifier: Apache-2.0
"""A domain tries every system call with random, adversarial and nearly right arguments; a victim beside it notices nothing, and
nothing of the attacker is left. `test/attack` boots in place of the supervisor. If one fails, its seed repeats it."""
import os

from common import BUILD
from harness import TestMachine, case

MACHINE = None
TRIES = int(os.environ.get("BULKHEAD_ATTACK_TRIES", "1000000"))
SEED = int(os.environ.get("BULKHEAD_SEED", "1"))
PER_SECOND = 1000   # at least, on a slow host


def _attack(name, cpus, icount):
    options = f"attack.tries={TRIES} attack.seed={SEED}"
    with TestMachine.create(name, root="test/attack/attack", options=options, cpus=cpus, memory=512, icount=icount, parallel=not icount) as m:
        verdict = m.expect(r"ATTACK ok (.*tries=\d+) lives|FAILED (.+)", 60 + TRIES / PER_SECOND)
        assert verdict[1], f"{options}: {verdict[2]}"
        assert f"tries={TRIES}" in verdict[1], verdict[1]


@case(f"{TRIES} system calls of an attacker on the victim's CPU change nothing of the victim")
def same_cpu(_):
    _attack("attack-1", 1, True)


@case(f"{TRIES} system calls of an attacker on a CPU of its own change nothing of the victim")
def other_cpu(_):
    _attack("attack-2", 2, False)


@case("a dom0 that keeps a copy of all it ever held reads and changes nothing of what was spawned")
def dishonest_dom0(_):
    programs = {f"stubdom/{name}": BUILD / "test/attack" / name for name in ("dishonest_dom0", "pattern_vmm")}
    with TestMachine.create("dishonest", manifest="test/attack/dishonest.dtb", bootfs=programs, auto=False, cpus=1, memory=512, icount=True) as m:
        verdict = m.expect(r"DISHONEST ok (.*victim_bytes=\d+)|FAILED (.*)|supervisor: dom0 .*", 120)
        assert verdict[1], verdict[0]
