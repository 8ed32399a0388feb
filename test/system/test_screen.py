# SPDX-License-Identifier: Apache-2.0
"""The machine's own screen and keyboard: what stands there, read back from the pixels by the font that drew them."""
import contextlib
import importlib.util
import pathlib
import re
import tempfile

from common import ROOT
from harness import TestMachine, booted, case
from qemu_sockets import Monitor, sockets

MACHINE = None
FONT = "/usr/share/consolefonts/Uni2-VGA16.psf.gz"
WIDTH, HEIGHT = 8, 16


def _font():
    """{16 bytes of a glyph: character}, ASCII only."""
    spec = importlib.util.spec_from_file_location("make_font", ROOT / "services" / "console-stubdom" / "make_font.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    glyphs, codes = module.read(FONT)
    return {glyphs[codes[code]]: chr(code) for code in range(0x7E, 0x1F, -1)}


def _picture(monitor):
    """(width, height, rows of pixels: True where it is not black)"""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "screen.ppm"
        monitor.command("screendump", filename=str(file))
        kind, size, _, data = file.read_bytes().split(b"\n", 3)
    assert kind == b"P6", kind
    width, height = map(int, size.split())
    lit = [any(data[i:i + 3]) for i in range(0, width * height * 3, 3)]
    return width, height, [lit[y * width:(y + 1) * width] for y in range(height)]


def _text(monitor, font):
    """The lines that stand on the screen; what is no glyph of the font reads as '~'."""
    width, height, pixels = _picture(monitor)
    lines = []
    for top in range(0, height - HEIGHT + 1, HEIGHT):
        line = ""
        for left in range(0, width - WIDTH + 1, WIDTH):
            rows = bytes(sum(pixels[top + y][left + x] << (7 - x) for x in range(WIDTH)) for y in range(HEIGHT))
            line += font.get(rows, "~")
        lines.append(line.rstrip())
    return lines


@contextlib.contextmanager
def _with_screen(name, read, **how):
    """(machine, lines(): what stands on its screen, type(text): at its keyboard)"""
    with sockets() as behind, booted(name, auto=False, extra=["-device", "VGA", *behind.arguments], **how) as m:
        monitor = behind.monitor()
        yield m, lambda: read(monitor), monitor.type


def _session(m, lines, type_keys):
    m.until(lambda: lines()[-1:] and any(line.startswith("dom0#") for line in lines()), 30, "the prompt on the screen")
    shown = lines()
    assert any("supervisor: starting" in line for line in shown), shown
    assert any(line.startswith("Bulkhead ") for line in shown), shown
    # The keyboard goes where the serial line goes, and both show the same.
    type_keys("xl lisst")
    m.until(lambda: any(line.startswith("dom0# xl lisst") for line in lines()), 30, "what was typed")
    type_keys("\n")
    m.expect(r"unknown subcommand 'lisst'")  # not only its echo: what comes next is typed on the other line
    m.send("xl list\n")
    m.expect(r"^Domain-0 ")
    m.until(lambda: any(line.startswith("Domain-0 ") for line in lines()), 30, "xl list on the screen")
    # Enough to scroll; the newest stands at the bottom.
    m.ok("xl dmesg; help; help; help")
    m.ok("echo the last line")
    m.until(lambda: "the last line" in lines(), 30, "the last line on the screen")


@case("under UEFI, in the mode of vga=, the log and the prompt stand on the screen in the font's glyphs, and the keyboard types; reboot=warm is named there")
def pixels(_):
    font = _font()
    sizes = set()

    def read(monitor):
        sizes.add(_picture(monitor)[:2])
        return _text(monitor, font)

    with _with_screen("screen-uefi", read, boot="uefi", options="vga=gfx-800x600x32 reboot=pci,warm") as (m, lines, type_keys):
        _session(m, lines, type_keys)
        assert sizes == {(800, 600)}, sizes
        log = m.ok("xl dmesg")
        assert "option 'vga" not in log, log
        assert "kernel: option 'reboot=warm': not supported without a BIOS" in log, log
        m.ok("stubdom restart console")
        m.until(lambda: any(line.startswith("dom0#") for line in lines()), 30, "the prompt on the screen after a restart of console")


@case("under a BIOS they stand on a VGA's text screen; a mode of vga= that only its loader could have set is named")
def text(_):
    with _with_screen("screen-bios", Monitor.vga_text, options="vga=text-80x50") as (m, lines, type_keys):
        _session(m, lines, type_keys)
        assert "kernel: option 'vga=': the loader left the screen at 80x25 characters and only a loader can change it" in m.ok("xl dmesg")


@contextlib.contextmanager
def _started(name, options):
    """(machine, monitor) of a machine that may never say anything on its serial port."""
    with sockets() as behind:
        m = TestMachine.create(name, auto=False, options=options, extra=["-device", "VGA", *behind.arguments])
        try:
            m.start()
            yield m, behind.monitor()
        finally:
            m.stop()


@case("console=vga: log and prompt are on the screen only, and the keyboard types")
def screen_only(_):
    with _started("screen-only", "console=vga vga=text-80x25,keep") as (m, monitor):
        m.until(lambda: any(line.startswith("dom0#") for line in monitor.vga_text()), 60, "the prompt on the screen")
        monitor.type("xl info\n")
        m.until(lambda: any(line.startswith("xen_commandline        : console=vga ") for line in monitor.vga_text()), 30, "xl info on the screen")
        monitor.type("xl dmesg\n")
        m.until(lambda: any("dom0: at its prompt" in line for line in monitor.vga_text()), 30, "the log on the screen")
        assert not any("option 'vga" in line for line in monitor.vga_text()), monitor.vga_text()
        monitor.type("poweroff\n")
        m.wait_end(60)
        assert "".join(m.screen.lines).strip() == "", m.tail()


@case("console=none: nothing is on the serial port nor on the screen, and the machine works: its power button switches it off")
def no_console(_):
    with _started("screen-none", "console=none") as (m, monitor):
        shown = set()

        def pressed():
            with contextlib.suppress(OSError, ValueError):  # it hung up, being off
                shown.update(monitor.vga_text())
                monitor.command("system_powerdown")
            return not m.running

        m.until(pressed, 60, "the power-off by the button")
        assert not any(re.search(r"dom0|kernel:|supervisor:", line) for line in shown), shown
        assert "".join(m.screen.lines).strip() == "", m.tail()
