# SPDX-License-Identifier: Apache-2.0
"""The machine's own screen and keyboard: what stands there, read back from the pixels by the font that drew them."""
import contextlib
import importlib.util
import pathlib
import tempfile

from common import ROOT
from harness import booted, case
from qemu_sockets import sockets

MACHINE = None
FONT = "/usr/share/consolefonts/Uni2-VGA16.psf.gz"
WIDTH, HEIGHT = 8, 16
KEYS = {" ": ["spc"], "\n": ["ret"], "-": ["minus"], "/": ["slash"], ".": ["dot"]}


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


def _vga_text(monitor):
    """The same of a VGA in text mode, from its memory."""
    cells = monitor.memory(0xB8000, 80 * 25 * 2)[::2]
    return [cells[row * 80:(row + 1) * 80].decode("cp437").rstrip() for row in range(25)]


def _type(monitor, text):
    for character in text:
        monitor.keys(*KEYS.get(character, [character]))


@contextlib.contextmanager
def _with_screen(name, read, **how):
    """(machine, lines(): what stands on its screen, type(text): at its keyboard)"""
    with sockets() as behind, booted(name, auto=False, extra=["-device", "VGA", *behind.arguments], **how) as m:
        monitor = behind.monitor()
        yield m, lambda: read(monitor), lambda text: _type(monitor, text)


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


@case("under UEFI the log and the prompt stand on the screen in the font's glyphs, and the keyboard types")
def pixels(_):
    font = _font()
    with _with_screen("screen-uefi", lambda monitor: _text(monitor, font), boot="uefi") as (m, lines, type_keys):
        _session(m, lines, type_keys)
        m.ok("stubdom restart console")
        m.until(lambda: any(line.startswith("dom0#") for line in lines()), 30, "the prompt on the screen after a restart of console")


@case("under a BIOS they stand on a VGA's text screen")
def text(_):
    with _with_screen("screen-bios", _vga_text) as (m, lines, type_keys):
        _session(m, lines, type_keys)
