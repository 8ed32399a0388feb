# SPDX-License-Identifier: Apache-2.0
"""Ways down: the power button, the watchdog, a panic, `reboot`, with and without `noreboot`."""
import contextlib
import re

from harness import Timeout, booted, case, guest_cfg
from machine import PATIENCE
from qemu_sockets import CRASH, HANG, NO_STRAP, sockets

MACHINE = None
BANNER = r"bulkhead \d"  # behind whatever stood on the line when the machine was reset


@contextlib.contextmanager
def broken(name, code, extra=(), **how):
    """A machine at its prompt whose kernel executes `code` at the next system call."""
    with sockets() as behind, booted(name, auto=False, extra=[*behind.arguments, *extra], **how) as m:
        behind.break_kernel(code)
        m.send("xl list\n")
        yield m


def rises_again(m, timeout=60):
    """The machine was reset: its kernel begins anew."""
    m.expect(BANNER, timeout)
    m.boot_to_prompt()


def silent(m, seconds=3):
    """For so long, whatever BULKHEAD_PATIENCE says: the watchdog is patient too."""
    try:
        m.expect(r"Domain-0|" + BANNER, seconds / PATIENCE)
    except Timeout:
        return True
    return False


@case("the power button shuts all guests down, then the machine; who cannot hear it is named and cut off")
def power_button(_):
    cfgs = {"one": guest_cfg("one"), "two": guest_cfg("two")}
    with sockets() as behind, booted("power-button", auto=False, cfgs=cfgs, extra=behind.arguments) as m:
        assert "the power button is watched" in m.ok("xl dmesg")
        m.ok("xl create one.cfg", 120)
        with m.console("one"):
            pass
        m.ok("xl create -p two.cfg", 120)
        behind.monitor().command("system_powerdown")
        m.expect(r"dom0: the power button was pressed: shutting down 2 guests, then the machine")
        m.expect(r"dom0: two is paused")
        m.expect(r"dom0: all guests are down: switching off", 90)
        m.wait_end()


@case("`reboot` resets the machine; the watchdog resets one whose kernel hangs, after the time that was asked for, not one that works")
def watchdog(_):
    with broken("watchdog", HANG, [*NO_STRAP, "-trace", "tco_timer_reload"], options="watchdog_timeout=7", reboots=True) as m:
        assert silent(m), "the kernel was to hang"
        rises_again(m)
        assert "watchdog: the TCO timer resets the machine 6 s after it hangs" in m.ok("xl dmesg")
        ticks = set(re.findall(r"tco_timer_reload ticks=(\d+)", m.errors()))
        assert ticks <= {"4", "5"} and "5" in ticks, f"of 0.6 s, twice, after the 4 of the reset: {ticks}"
        m.time_passes(12)
        assert silent(m, 1), "a machine that works was reset"
        m.send("reboot\n")
        rises_again(m)


@case("a panic says so and resets the machine after five seconds; on another chipset, where a watchdog is asked for in vain")
def panic(_):
    with broken("panic", CRASH, ["-machine", "pc"], options="watchdog", reboots=True) as m:
        m.expect(r"kernel panic: exception 6")
        m.expect(r"Reboot in five seconds")
        rises_again(m)
        assert "watchdog: no watchdog found" in m.ok("xl dmesg")
        m.send("reboot\n")  # no ACPI reset register here
        rises_again(m)


@case("with `noreboot`, which `reboot=n` is too, a panic and `reboot` stop the machine with a sentence, and no watchdog resets it")
def no_reboot(_):
    with broken("noreboot-panic", CRASH, NO_STRAP, options="noreboot watchdog_timeout=5", reboots=True) as m:
        m.expect(r"kernel panic: exception 6")
        m.expect(r"Manual reset required \('noreboot' specified\)")
        assert silent(m, 8), "it was reset"
    with booted("noreboot", auto=False, options="reboot=n", reboots=True) as m:
        m.send("reboot\n")
        m.expect(r"'noreboot' set - not rebooting\.")
        assert silent(m), "it was reset, or goes on"


# What each method of reboot= writes to the ports that reset a q35. ACPI's register there is 0xcf9 too.
METHODS = {"t": [], "k,w": [(0x64, 0xFE)], "a": [(0xCF9, 0x0F)], "p": [(0xCF9, 0x02), (0xCF9, 0x06)], "P,cold": [(0xCF9, 0x0A), (0xCF9, 0x0E)]}
BIOS_FLAG = 0x472


@contextlib.contextmanager
def watched_reset(name, before=lambda behind: None, **how):
    """(machine, monitor, writes to the ports that reset) of a machine that stands still where `reboot` has reset it."""
    extra = ["-d", "cpu_reset", "-no-shutdown", *how.pop("extra", [])]
    with sockets() as behind, booted(name, auto=False, extra=[*behind.arguments, *extra], **how) as m:
        before(behind)
        monitor = behind.monitor()
        monitor.command("trace-event-set-state", name="memory_region_ops_write", enable=True)
        m.send("reboot\n")
        m.until(lambda: monitor.command("query-status")["status"] == "shutdown", 30, "the reset")
        ended = [event["data"]["reason"] for event in monitor.events if event["event"] == "SHUTDOWN"]
        assert ended == ["guest-reset"], ended
        traced = re.findall(r"memory_region_ops_write .* addr (0x\w+) value (0x\w+) ", m.errors())
        writes = [(int(port, 16), int(value, 16)) for port, value in traced]
        yield m, monitor, [write for write in writes if write[0] in (0x64, 0xCF9)]


@case("`reboot=` names what resets the machine, and whether a BIOS shall test its memory")
def methods(_):
    for option, expected in METHODS.items():
        with watched_reset(f"reboot-{option}", options=f"reboot={option}") as (m, monitor, writes):
            assert "option 'reboot" not in "\n".join(m.screen.lines), m.tail()
            assert writes == expected, f"reboot={option}: {writes}"
            assert ("Triple fault" in m.errors()) == (option == "t"), f"reboot={option}"
            flag = monitor.memory(BIOS_FLAG, 2)
            assert flag == (b"\x34\x12" if option == "k,w" else b"\0\0"), f"reboot={option}: {flag}"


@case("a reset that the machine ignores is named, and the next one tried: no keyboard controller, a dead ACPI register, then port 0xcf9")
def falls_on(_):
    def kill_register(behind):
        behind.poke("_ZN8bulkhead4arch10reset_planE", b"\x80\0")  # its first field, the port: one that is written to at every boot

    with watched_reset("reboot-next", kill_register, options="reboot=kbd", extra=["-machine", "q35,i8042=off"]) as (m, _, writes):
        m.expect(r"kernel: the machine ignored the keyboard controller; trying another reset")
        m.expect(r"kernel: the machine ignored ACPI's reset register; trying another reset")
        assert writes[-2:] == [(0xCF9, 0x02), (0xCF9, 0x06)], writes


@case("`reboot=acpi` on a machine without such a register says so, and resets it all the same")
def no_register(_):
    with booted("reboot-no-register", auto=False, options="reboot=acpi,cold", extra=["-machine", "pc"], reboots=True) as m:
        assert "kernel: option 'reboot=acpi': the firmware names no reset register" in "\n".join(m.screen.lines), m.tail()
        m.send("reboot\n")
        rises_again(m)
