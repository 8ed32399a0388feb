# SPDX-License-Identifier: Apache-2.0
"""What a newcomer sees: UEFI firmware, the dom0 prompt, and one Debian guest already running."""
from harness import case

MACHINE = dict(boot="uefi", cpus=2)


@case("xl list shows dom0, the stub domains and the sample guest")
def listed(m):
    first = m.ok("xl list").splitlines()[0].split()
    assert first == ["Name", "ID", "Mem", "VCPUs", "State", "Time(s)"], first
    domains = m.domains()
    for name in ("Domain-0", "xenstore", "console", "debian"):
        assert name in domains, domains
    assert domains["Domain-0"]["id"] == 0 and domains["debian"]["mem"] == 256 and domains["debian"]["vcpus"] == 2, domains


@case("the guest's console: what it printed before is there, and typing works")
def console(m):
    start = len(m.screen.lines)
    with m.console("debian") as guest:
        assert any("GUEST-READY" in line for line in m.screen.lines[start:]), "the console's history lacks GUEST-READY"
        assert guest.ok("nproc") == "2"
        assert guest.ok("echo typed") == "typed"


@case("the guest's kernel knows that it is a PVH guest of Xen's ABI")
def pvh(m):
    with m.console("debian") as guest:
        log = guest.ok("dmesg | grep -i -E 'xen|pvh' | head -20")
        assert "PVH" in log and "Xen" in log, log
        assert guest.ok("cat /sys/hypervisor/type") == "xen"


@case("Ctrl-C interrupts a program inside the guest, and nothing outside")
def interrupt(m):
    with m.console("debian") as guest:
        guest.send("sleep 1000; echo survived\n")
        m.expect("sleep 1000")
        m.time_passes(2)
        guest.send("\x03")
        m.expect(r"\^C")
        guest.wait_shell(30)
        assert guest.cmd("true").status == 0


@case("the guest's clocks agree with the TSC within 2 % over ten seconds")
def clocks(m):
    megahertz = float(m.info()["cpu_mhz"])
    with m.console("debian") as guest:
        words = dict(pair.split("=") for pair in guest.ok("clock 10", 180).split()[1:])
    by_tsc = float(words["tsc"]) / (megahertz * 1e6)
    for clock in ("monotonic", "realtime"):
        assert abs(float(words[clock]) - by_tsc) < 0.02 * by_tsc, (by_tsc, words)


@case("dom0 can be left by poweroff, and the machine is off")
def off(m):
    m.power_off()
