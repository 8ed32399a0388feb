# SPDX-License-Identifier: Apache-2.0
"""QEMU from behind: its monitor (QMP) for buttons, keys and screenshots, and its gdb stub to break a running kernel."""
import contextlib
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import time

from common import BUILD, Failure

PATIENCE_S = 60
KEYS = {" ": ["spc"], "\n": ["ret"], "-": ["minus"], "/": ["slash"], ".": ["dot"]}


def _connect(path):
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE_S)
            sock.connect(str(path))
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise Failure(f"QEMU does not listen on {path}") from None
            time.sleep(0.1)


class Monitor:
    """One QMP conversation."""

    def __init__(self, path):
        self.events = []  # that came before the answers so far
        self._socket = _connect(path)
        self._file = self._socket.makefile("rw")
        self._file.readline()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name, /, **arguments):
        self._file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            answer = json.loads(self._file.readline())
            if "error" in answer:
                raise Failure(f"QMP {name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            self.events.append(answer)

    def memory(self, address, size):
        """Of the guest, at this physical address."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "memory"
            self.command("pmemsave", val=address, size=size, filename=str(file))
            return file.read_bytes()

    def vga_text(self):
        """The lines on a VGA in text mode, from its memory."""
        cells = self.memory(0xB8000, 80 * 25 * 2)[::2]
        return [cells[row * 80:(row + 1) * 80].decode("cp437").rstrip() for row in range(25)]

    def type(self, text):
        """At the machine's keyboard."""
        for character in text:
            self.keys(*KEYS.get(character, [character]))

    def keys(self, *names):
        """Presses the keys together and lets them go."""
        self.command("send-key", keys=[{"type": "qcode", "data": name} for name in names], **{"hold-time": 20})


class Debugger:
    """One gdb remote conversation; the machine stands still while it lasts."""

    def __init__(self, path):
        self._socket = _connect(path)

    def _ask(self, text):
        """The answer. That the machine has stopped, it tells in between, when that happens."""
        self._socket.sendall(f"${text}#{sum(text.encode()) & 255:02x}".encode())
        data = b""
        while True:
            for packet in re.findall(rb"\$([^#]*)#..", data):
                if not packet.startswith((b"T", b"S")):
                    self._socket.sendall(b"+")
                    return packet.decode()
            piece = self._socket.recv(4096)
            if not piece:
                raise Failure(f"QEMU's gdb stub hung up after {text!r}")
            data += piece

    def write(self, address, data):
        answer = self._ask(f"M{address:x},{len(data):x}:{data.hex()}")
        if answer != "OK":
            raise Failure(f"QEMU's gdb stub cannot write at {address:#x}: {answer}")

    def detach(self):
        self._ask("D")
        self._socket.close()


class Sockets:
    """`arguments` for QEMU, and what connects to them."""

    def __init__(self, folder):
        self._monitor, self._debugger = pathlib.Path(folder) / "qmp", pathlib.Path(folder) / "gdb"
        self.arguments = ["-qmp", f"unix:{self._monitor},server=on,wait=off",
                          "-chardev", f"socket,id=gdbstub,path={self._debugger},server=on,wait=off", "-gdb", "chardev:gdbstub"]

    def monitor(self):
        return Monitor(self._monitor)

    def poke(self, symbol, data):
        """Writes into the running kernel."""
        debugger = Debugger(self._debugger)
        debugger.write(kernel_symbol(symbol), data)
        debugger.detach()

    def break_kernel(self, code):
        """Every CPU that makes a system call from now on executes `code` in the kernel, on its stack."""
        self.poke("syscall_from_user", code)


@contextlib.contextmanager
def sockets():
    with tempfile.TemporaryDirectory() as folder:
        yield Sockets(folder)


def kernel_symbol(name):
    table = subprocess.run(["nm", BUILD / "kernel" / "bulkhead-nosyms.elf"], check=True, capture_output=True, text=True).stdout
    return int(re.search(rf"^(\w+) \w {name}$", table, re.M)[1], 16)


HANG = b"\xfa\xeb\xfe"  # cli; jmp to itself
CRASH = b"\x0f\x0b"     # ud2
NO_STRAP = ["-global", "ICH9-LPC.noreboot=false"]  # the chipset's watchdog may reset, as its strap forbids by default
