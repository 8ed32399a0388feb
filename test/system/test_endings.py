# SPDX-License-Identifier: Apache-2.0
"""How guests end and what follows: poweroff -f, reboot -f and a kernel's crash with every on_… action, on Debian's cloud kernel."""
from harness import case, guest_cfg

ENDS = {"poweroff": "poweroff -f", "reboot": "reboot -f", "crash": "echo c > /proc/sysrq-trigger"}


def _all(action):
    return {f"on_{end}": action for end in ENDS}


MACHINE = dict(auto=False, cpus=2, cfgs={
    "goes": guest_cfg("goes", memory=192, **_all("destroy")),
    "stays": guest_cfg("stays", memory=192, **_all("preserve")),
    "comes": guest_cfg("comes", memory=192, **_all("restart")),
    "moves": guest_cfg("moves", memory=192, **_all("rename-restart")),
    "dumps": guest_cfg("dumps", memory=192, on_crash="coredump-destroy"),
})


def _end(m, name, end, create=None):
    """Ends a guest from inside, and waits until its console says that it is gone."""
    with m.console(name, create=create, timeout=300) as guest:
        guest.send(ENDS[end] + "\n")
        guest.ended()


@case("destroy: a guest that reboots, or crashes, is gone")
def destroyed(m):
    for end in ("reboot", "crash"):
        _end(m, "goes", end, create="/etc/xen/goes.cfg")
        m.until_gone("goes")


@case("preserve: a guest that powered off, rebooted or crashed stays, shown as shut down or crashed, until it is destroyed")
def preserved(m):
    for end in ENDS:
        with m.console("stays", create="/etc/xen/stays.cfg") as guest:
            guest.send(ENDS[end] + "\n")
            guest.detach()
        letter = "c" if end == "crash" else "s"
        m.until(lambda: letter in m.domains()["stays"]["state"], 90, f"state {letter} for 'stays'")
        m.ok("xl destroy stays")
        m.until_gone("stays")


@case("restart: a guest that rebooted, crashed or powered off comes back under its name with a new ID")
def restarted(m):
    m.ok("xl create /etc/xen/comes.cfg")
    for end in ("reboot", "crash", "poweroff"):
        before = m.domains()["comes"]["id"]
        _end(m, "comes", end)
        m.until(lambda: m.domains().get("comes", {}).get("id", before) > before, 120, f"a new ID after {end}")
    m.ok("xl destroy comes")
    m.until_gone("comes")


@case("rename-restart: the one that ended stays under another name, a new one runs under the old")
def renamed(m):
    m.ok("xl create /etc/xen/moves.cfg")
    kept = []
    for end in ENDS:
        before = m.domains()["moves"]["id"]
        with m.console("moves", timeout=300) as guest:  # its console stays with it
            guest.send(ENDS[end] + "\n")
            guest.detach()
        m.until(lambda: m.domains().get("moves", {}).get("id", before) > before, 120, f"a successor after {end}")
        kept.append(f"moves-{before}")
        assert m.domains()[kept[-1]]["state"][4 if end == "crash" else 3] in "cs", m.domains()
    for name in [*kept, "moves"]:
        m.ok(f"xl destroy {name}")
    m.until_gone(*kept, "moves")


@case("coredump-destroy is refused with a sentence")
def no_core(m):
    m.refused("xl create /etc/xen/dumps.cfg", "coredump-destroy", "not supported")
