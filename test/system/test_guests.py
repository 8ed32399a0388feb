# SPDX-License-Identifier: Apache-2.0
"""Both stock Debian kernels, 1, 2, 4 and 16 vCPUs, and the ways a guest ends."""
from harness import case, guest_cfg

COUNTS = (1, 2, 4)
KERNELS = ("cloud", "generic")


def _name(kernel, vcpus):
    return f"{kernel}{vcpus}"


MACHINE = dict(auto=False, cpus=2, cfgs={_name(k, n): guest_cfg(_name(k, n), k, n) for k in KERNELS for n in COUNTS} | {
    "cloud16": guest_cfg("cloud16", "cloud", 16),
    "ends": guest_cfg("ends", on_poweroff="destroy", on_reboot="restart", on_crash="destroy"),
    "stays": guest_cfg("stays", on_poweroff="preserve", on_reboot="destroy", on_crash="preserve"),
    "again": guest_cfg("again", on_poweroff="restart", on_crash="restart"),
})


def _boots(kernel, vcpus):
    @case(f"Debian's {kernel} kernel boots to a shell with {vcpus} vCPU{'s' if vcpus > 1 else ''}, and powers off", long=vcpus > 2)
    def boots(m):
        name = _name(kernel, vcpus)
        with m.console(name, create=f"/etc/xen/{name}.cfg", timeout=300) as guest:
            assert guest.ok("nproc") == str(vcpus)
            release = guest.ok("uname -r")
            assert ("cloud" in release) == (kernel == "cloud"), release
            log = guest.ok("dmesg | grep -i -E 'pvh|xen' | head")
            assert "PVH" in log and "Xen" in log, log
            guest.send("poweroff -f\n")
            guest.ended()
        m.until_gone(name)
    return boots


for _kernel, _vcpus in [(k, n) for n in COUNTS for k in KERNELS] + [("cloud", 16)]:
    globals()[f"boots_{_kernel}_{_vcpus}"] = _boots(_kernel, _vcpus)


@case("reboot -f with on_reboot=restart: the same name comes back with a new ID; a crash with on_crash=destroy ends it")
def reboot_then_crash(m):
    with m.console("ends", create="/etc/xen/ends.cfg") as guest:
        guest.detach()
    before = m.domains()["ends"]["id"]
    with m.console("ends") as guest:
        guest.send("reboot -f\n")
        guest.ended()
    m.until(lambda: m.domains().get("ends", {}).get("id", before) != before, 120, "a new ID for the rebooted guest")
    with m.console("ends") as guest:
        guest.send("echo c > /proc/sysrq-trigger\n")
        guest.ended()
    m.until_gone("ends")


@case("on_poweroff=preserve keeps a guest, shown as shut down, until it is destroyed")
def preserved(m):
    with m.console("stays", create="/etc/xen/stays.cfg") as guest:
        guest.send("poweroff -f\n")
        guest.detach()
    m.until(lambda: "s" in m.domains()["stays"]["state"], 90, "state s for 'stays'")
    m.ok("xl destroy stays")
    m.until_gone("stays")


@case("on_crash=preserve keeps a crashed guest, shown as crashed")
def crashed(m):
    with m.console("stays", create="/etc/xen/stays.cfg") as guest:
        guest.send("echo c > /proc/sysrq-trigger\n")
        guest.detach()
    m.until(lambda: "c" in m.domains()["stays"]["state"], 90, "state c for 'stays'")
    m.ok("xl destroy stays")


@case("on_crash=restart brings a crashed guest back")
def crash_restart(m):
    m.ok("xl create /etc/xen/again.cfg")
    before = m.domains()["again"]["id"]
    with m.console("again") as guest:
        guest.send("echo c > /proc/sysrq-trigger\n")
        guest.ended()
    m.until(lambda: m.domains().get("again", {}).get("id", before) != before, 120, "a new ID for the crashed guest")
    m.ok("xl destroy again")
