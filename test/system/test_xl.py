# SPDX-License-Identifier: Apache-2.0
"""xl's subcommands on one running guest, as an operator would use them."""
import re

from harness import case, guest_cfg

MACHINE = dict(cpus=2, cfgs={"extra": guest_cfg("extra"), "growing": guest_cfg("growing", maxvcpus=3)})


@case("xl domid and domname answer, both ways round")
def names(m):
    number = int(m.ok("xl domid debian"))
    assert m.ok(f"xl domname {number}") == "debian"
    assert number == m.domains()["debian"]["id"]


@case("xl vcpu-list shows each vCPU with its CPU and state")
def vcpus(m):
    rows = [line.split() for line in m.ok("xl vcpu-list debian").splitlines()[1:]]
    assert [row[0] for row in rows] == ["debian", "debian"] and [row[2] for row in rows] == ["0", "1"], rows


@case("xl info tells memory, CPUs and Xen's keys")
def info(m):
    pairs = m.info()
    for key in ("release", "nr_cpus", "total_memory", "free_memory", "cpu_mhz", "virt_caps"):
        assert key in pairs, pairs
    assert pairs["nr_cpus"] == "2" and 0 < int(pairs["free_memory"]) < int(pairs["total_memory"]), pairs


@case("xl dmesg shows the kernel's log")
def dmesg(m):
    log = m.ok("xl dmesg")
    assert re.search(r"^kernel: 2 CPUs", log, re.M) and "supervisor: starting" in log and "dom0: debian is domain" in log, log


@case("xl uptime lists each domain")
def uptime(m):
    assert re.search(r"^debian\s+\d+\s+\d+:\d\d:\d\d", m.ok("xl uptime"), re.M)
    assert re.search(r"^ \d\d:\d\d:\d\d up  \d:\d\d, debian \(\d+\)$", m.ok("xl uptime -s"), re.M)


TRACED = re.compile(r"^ *(\d+)  (\w[\w ]*?) +rip [0-9a-f]{16}(  .+)?$")


@case("trace shows the last exits and hypercalls of each vCPU, while the guest runs")
def traced(m):
    with m.console("debian") as guest:
        guest.ok("cat /proc/interrupts > /dev/null; sleep 1")  # events for the console, a timer, idling
    shown = m.ok("trace debian")
    for vcpu in shown.split("debian, vCPU ")[1:]:
        head, *lines = vcpu.strip().splitlines()
        number, exits, count = map(int, re.fullmatch(r"(\d+): (\d+) exits; the last (\d+), oldest first", head).groups())
        assert exits > 1000 and 50 <= count <= 63 and len(lines) == count, shown
        rows = [TRACED.match(line) for line in lines]
        assert all(rows), (number, lines)
        assert [int(row[1]) for row in rows] == list(range(exits - count + 1, exits + 1)), lines
        assert "unknown" not in {row[2] for row in rows}, lines
    assert "vCPU 1: " in shown and re.search(r"hypercall +rip ffffffff[0-9a-f]{8}  (sched_op|event_channel_op|vcpu_op)\(0x", shown), shown
    before = int(re.search(r"vCPU 0: (\d+) exits", shown)[1])
    assert "vCPU 1" not in m.ok("trace debian 0")
    m.until(lambda: int(re.search(r": (\d+) exits", m.ok("trace debian 0"))[1]) > before, 30, "more exits")
    m.refused("trace debian 2", "there is no vCPU 2", "has 2")
    m.refused("trace Domain-0", "it is no guest")
    m.refused("trace", "Usage: trace DOMAIN [VCPU]")


@case("a paused guest stands still, and goes on when unpaused")
def pause(m):
    m.ok("xl pause debian")
    m.until(lambda: "p" in m.domains()["debian"]["state"], 20, "state p")
    before = m.domains()["debian"]["time"]
    m.time_passes(2)
    assert m.domains()["debian"]["time"] == before
    m.ok("xl unpause debian")
    with m.console("debian") as guest:
        assert guest.ok("echo awake") == "awake"


@case("xl rename gives a guest another name, in xenstore too")
def rename(m):
    number = m.domains()["debian"]["id"]
    m.ok("xl rename debian sid")
    assert m.ok(f"xenstore-read /local/domain/{number}/name") == "sid"
    m.ok("xl rename sid debian")


@case("xl create, shutdown -w: the guest stops by its own init, and is gone")
def shutdown(m):
    m.ok("xl create /etc/xen/extra.cfg", 120)
    with m.console("extra"):
        pass
    m.ok("xl shutdown -w extra", 120)
    m.until_gone("extra")


@case("xl reboot: the guest's own init reboots it")
def reboot(m):
    before = m.domains()["debian"]["id"]
    m.ok("xl reboot debian")
    m.until(lambda: m.domains().get("debian", {}).get("id", before) != before, 120, "a new ID for debian")
    with m.console("debian") as guest:
        assert guest.ok("nproc") == "2"


@case("a guest with maxvcpus above vcpus starts with vcpus, and takes another when its availability says online")
def growing(m):
    m.ok("xl create /etc/xen/growing.cfg", 120)
    number = m.domains()["growing"]["id"]
    with m.console("growing") as guest:
        assert guest.ok("nproc") == "1" and guest.ok("cat /sys/devices/system/cpu/possible") == "0-2"
    assert len(m.ok("xl vcpu-list growing").splitlines()) == 1 + 3
    m.ok(f"xenstore-write /local/domain/{number}/cpu/1/availability online")
    with m.console("growing") as guest:
        m.until(lambda: guest.ok("cat /sys/devices/system/cpu/present") == "0-1", 60, "the second CPU's presence")
        guest.ok("echo 1 > /sys/devices/system/cpu/cpu1/online; nproc")
        assert guest.ok("nproc") == "2"
    m.ok("xl destroy growing")


@case("xl destroy ends a guest at once")
def destroy(m):
    m.ok("xl destroy debian")
    m.until_gone("debian", timeout=20)


@case("the shell has help, and ends commands that do not exist with 127")
def shell(m):
    for word in ("xl", "xenstore-ls", "caps", "stubdom", "poweroff", "reboot"):
        assert word in m.ok("help"), word
    assert m.cmd("nonsense").status == 127
