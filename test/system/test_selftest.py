# SPDX-License-Identifier: Apache-2.0
"""`selftest` at the prompt, and by itself when the boot option asks for it: a report of a page, true in what an emulator can be checked for."""
import re
import shutil

import image
import media
import qemu
from common import LOGS
from harness import TestMachine, booted, case

MACHINE = None
LINE = re.compile(r"^\[(works  |missing|FAILED )\] ([^:]+): (.+)$")


def _report(text):
    """{what: (verdict, text)} of a report, which ends with its own count."""
    rows = [match for match in map(LINE.match, text.splitlines()) if match]
    found = {match[2]: (match[1].strip(), match[3]) for match in rows}
    works, missing, failed = map(int, re.search(r"^selftest: (\d+) work, (\d+) missing, (\d+) failed\.$", text, re.M).groups())
    assert works + missing + failed == len(rows), text
    assert failed == sum(match[1] == "FAILED " for match in rows), text
    return found


@case("the report: features, memory, timers, exits of each CPU, restarts, a guest; with the boot option it runs by itself")
def report(_):
    with booted("selftest", auto=False, cpus=2, memory=2048, options="selftest") as m:
        first = "\n".join(line.rstrip() for line in m.screen.lines)
        assert "option 'selftest" not in first, "our own option is unknown to the parser"
        found = _report(first)
        bad = {what: row for what, row in found.items() if row[0] == "FAILED"}
        assert not bad, bad
        assert "EPYC" in found["CPU"][1] and "2 CPUs run" in found["CPU"][1], found["CPU"]
        assert found["virtualization"][0] == "works" and "SVM" in found["virtualization"][1], found["virtualization"]
        assert found["IOMMU"] == ("missing", "the firmware names none"), found["IOMMU"]
        assert 2000 <= int(re.search(r"(\d+) MiB of RAM", found["memory map"][1])[1]) <= 2048, found["memory map"]
        for timer in ("PM timer", "HPET"):
            assert found[timer][0] == "works", found[timer]
        for cpu in ("CPU 0", "CPU 1"):
            assert found[cpu][0] == "works", found[cpu]
            cpuid, call, ipc = map(int, re.fullmatch(r"exits: a guest's CPUID takes (\d+) ticks \(\d+ ns\), a hypercall (\d+); IPC: a call and its answer (\d+) \(\d+ ns\)", found[cpu][1]).groups())
            # An emulator's speed says little, but nothing of this is a few instructions, or takes milliseconds.
            assert all(300 < cost < 10_000_000 for cost in (cpuid, call, ipc)), found[cpu]
        assert re.match(r"used: NX, SMEP, SMAP, UMIP, .*; without .*PCID", found["features"][1]), found["features"]
        for service in ("platform", "xenstore", "console"):
            assert found[f"restart of {service}"][0] == "works", found
        assert found["xenstore's memory"][0] == found["Debian guest"][0] == found["rings"][0] == "works", found
        assert len(first[first.index("selftest: no disk"):].splitlines()) <= 50, "the report is longer than a page"
        # It leaves nothing behind.
        assert set(m.domains()) == {"Domain-0", "xenstore", "console", "platform"}, m.domains()
        m.refused("xenstore-read /local/domain/0/selftest", "selftest")
        m.power_off()


@case("an IOMMU and a missing HPET are seen")
def other_hardware(_):
    extra = ["-machine", "hpet=off,kernel-irqchip=off", "-device", "intel-iommu"]
    with booted("selftest-other", auto=False, cpus=1, extra=extra) as m:
        found = _report(m.ok("selftest", 300))
        assert found["IOMMU"] == ("missing", "1 VT-d and 0 AMD-Vi units are there, and not used yet"), found["IOMMU"]
        assert found["HPET"][0] == "missing", found["HPET"]


@case("the stick's menu has it: it runs beside the sample guest, says the same, and writes not a byte to the stick")
def from_the_stick(_):
    made = image.Image().prepare()
    stick = made.path("selftest.usb")
    shutil.copyfile(media.usb(made, timeout=0, default="selftest"), stick)
    before = stick.read_bytes()
    try:
        with TestMachine(made, boot="bios-medium", cpus=2, memory=2048, log=LOGS / "selftest-stick.log", extra=[*qemu.drive("usb", stick, writable=True), "-device", "amd-iommu"]) as m:
            m.boot_to_prompt(600)
            found = _report("\n".join(line.rstrip() for line in m.screen.lines))
            assert all(row[0] != "FAILED" for row in found.values()), found
            assert found["IOMMU"] == ("missing", "0 VT-d and 1 AMD-Vi units are there, and not used yet"), found["IOMMU"]
            assert "GRUB" in found["firmware"][1], found["firmware"]
            assert "debian" in m.domains(), m.domains()
            m.power_off()
        assert stick.read_bytes() == before, "the stick was written to"
    finally:
        stick.unlink()
