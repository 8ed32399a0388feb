# SPDX-License-Identifier: Apache-2.0
"""Services and dom0 die under load and come back: no guest reboots, no committed node is lost, nothing half-built remains."""
import os
import random

from harness import case, guest_cfg

MACHINE = dict(auto=False, cpus=2, cfgs={"left": guest_cfg("left", vcpus=2), "right": guest_cfg("right")})
ROUNDS = int(os.environ.get("BULKHEAD_RESTART_ROUNDS", "5"))
SEED = int(os.environ.get("BULKHEAD_SEED", "1"))
LOAD = "(i=0; while :; do i=$((i+1)); xenstore-write data/count $i || echo LOST; xenstore-read data/count > /tmp/seen; done) > /tmp/trouble 2>&1 &"
STATE = {}


@case("two guests run, each writing to xenstore without end")
def load(m):
    for name in ("left", "right"):
        m.ok(f"xl create /etc/xen/{name}.cfg", 120)
    for name in ("left", "right"):
        with m.console(name) as guest:
            guest.ok(LOAD)
    STATE["ids"] = {name: m.domains()[name]["id"] for name in ("left", "right")}
    m.ok("xenstore-write /committed yes")


def _count(m, name):
    return int(m.ok(f"xenstore-read /local/domain/{STATE['ids'][name]}/data/count"))


def _still_whole(m):
    domains = m.domains()
    for name, number in STATE["ids"].items():
        assert domains[name]["id"] == number, f"{name} was restarted: {domains}"
    assert m.ok("xenstore-read /committed") == "yes"
    before = {name: _count(m, name) for name in STATE["ids"]}
    m.until(lambda: all(_count(m, name) > before[name] for name in before), 60, "both guests writing on")


def _killed(service):
    @case(f"{service} is killed {ROUNDS} times at random instants")
    def killed(m):
        instants = random.Random(SEED)
        for _ in range(ROUNDS):
            m.time_passes(instants.random())
            if service == "dom0":
                m.send("stubdom restart dom0\n")
                m.time_passes(0.2)
                m.resync()
            else:
                m.ok(f"stubdom restart {service}")
            _still_whole(m)
    return killed


xenstore = _killed("xenstore")
console = _killed("console")
dom0 = _killed("dom0")


@case("after all that the guests' consoles answer, and no guest saw xenstore fail")
def after(m):
    for name in ("left", "right"):
        with m.console(name) as guest:
            assert guest.ok("cat /tmp/trouble") == ""
            assert float(guest.ok("cat /proc/uptime").split()[0]) > 0


@case("guests can still be destroyed and created")
def recreate(m):
    for name in ("left", "right"):
        m.ok(f"xl destroy {name}")
    m.until_gone("left", "right")
    m.ok("xl create /etc/xen/left.cfg", 120)
    with m.console("left") as guest:
        assert guest.ok("nproc") == "2"
