# SPDX-License-Identifier: Apache-2.0
"""One running machine and a conversation with it over its serial console. `run --exec`, the benchmarks and the system tests use it."""
import collections
import os
import pathlib
import pty
import re
import shutil
import subprocess
import threading
import time

import qemu
from common import LOGS, Failure, die_with_parent, explain
from terminal import Screen

PROMPT = "dom0# "
# How much longer than the times written in calls a slow or busy host may take.
PATIENCE = float(os.environ.get("BULKHEAD_PATIENCE", "2"))
BOCHS_NOISE = re.compile(r"\d{11}i\[")
DEAD = re.compile(r"^kernel panic: |^\(root\) supervisor: .* cannot start its services")


class Timeout(Failure):
    pass


class Gone(Failure):
    pass


Result = collections.namedtuple("Result", "output status")


class Machine:
    """A machine that boots `image` (see image.Image; prepared by the caller) in QEMU or Bochs.

    As a context manager it starts on entry and leaves nothing running. Every byte of its console is in `log`.
    """

    def __init__(self, image, *, boot="multiboot", cpus=2, memory=2048, icount=False, emulator="qemu", log=None, reboots=False, parallel=False, extra=(), echo=None):
        self.image, self.boot, self.cpus, self.memory, self.icount, self.emulator = image, boot, cpus, memory, icount, emulator
        self.reboots, self.parallel, self.extra, self.echo = reboots, parallel, list(extra), echo
        self.log = pathlib.Path(log) if log else LOGS / f"{os.getpid()}-{id(self):x}.log"
        self.screen = Screen()
        self._mark = 0        # the first line that no expect() has consumed
        self._changed = threading.Condition()
        self._ended = False
        self._broken = None   # why the machine had to be ended
        self._process = None

    # --- life ---

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_file = open(self.log, "wb", buffering=0)
        (self._start_bochs if self.emulator == "bochs" else self._start_qemu)()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start_qemu(self):
        args = qemu.command(self.image, boot=self.boot, memory=self.memory, cpus=self.cpus, icount=self.icount, serial="pipe", reboots=self.reboots, parallel=self.parallel, extra=self.extra)
        self._process = self._spawn(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()

    def _start_bochs(self):
        import bochs  # only this method needs it
        master, slave = pty.openpty()
        screen_master, screen_slave = pty.openpty()
        args = bochs.command(self.image, memory=self.memory, cpus=self.cpus, serial=os.ttyname(slave), log=self.log.with_suffix(".bochs"))
        self._process = self._spawn(args, stdin=screen_slave, stdout=screen_slave, env=os.environ | {"TERM": "xterm"})
        os.close(screen_slave)
        threading.Thread(target=_drain, args=[screen_master], daemon=True).start()
        self._keep = slave  # so that the console outlives a moment without a reader in Bochs
        self._input = self._output = master

    def _spawn(self, args, **options):
        if not shutil.which(args[0]):
            raise Failure(f"{args[0]} is not installed (tools/packages.txt should name its package)")
        self._errors = open(self.log.with_suffix(".err"), "w+b")
        return subprocess.Popen([str(a) for a in args], cwd=self.image.folder, stderr=self._errors, preexec_fn=die_with_parent, start_new_session=True, **options)

    def stop(self):
        if self._process and self._process.poll() is None:
            self._process.kill()
        if self._process:
            self._process.wait()

    @property
    def running(self):
        return self._process.poll() is None

    def wait_end(self, timeout=60):
        """Waits until the machine has switched itself off."""
        try:
            self._process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Timeout(f"the machine did not end within {timeout * PATIENCE:.0f} s{self.tail()}") from None

    # --- reading ---

    def _read(self):
        while True:
            try:
                data = os.read(self._output, 65536)
            except OSError:
                data = b""
            if not data:
                break
            try:
                self._log_file.write(data)
            except OSError as error:  # a full disk; a machine whose console is not kept is of no use
                self._broken = explain(OSError(error.errno, error.strerror, str(self.log)))
                self._process.kill()
                break
            if self.echo:
                self.echo(data)
            with self._changed:
                self.screen.feed(data.decode(errors="replace"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def tail(self, count=30):
        """The last lines of the console, for a failure's report."""
        with self._changed:
            lines = [line for line in self.screen.lines[-count:]]
        self._errors.seek(0)
        said = "\n".join(line for line in self._errors.read().decode(errors="replace").splitlines() if not BOCHS_NOISE.match(line)).strip()
        said = f"\n  {self.emulator} said: {said}" if said else ""
        return "\n" + "\n".join("  | " + line.rstrip() for line in lines) + f"\n  (all of it: {self.log}){said}"

    def _wait(self, found, timeout, what):
        """Calls found() with the lock held at every change until it answers something."""
        limit = time.monotonic() + timeout * PATIENCE
        with self._changed:
            while True:
                answer = found()
                if answer is not None:
                    return answer
                if self._broken:
                    raise Failure(self._broken)
                if self._ended:
                    problem, kind = f"the machine ended while waiting for {what}", Gone
                    break
                panic = next((line for line in self.screen.lines[self._mark:] if DEAD.match(line)), None)
                left = limit - time.monotonic()
                if panic and left > 2:
                    limit, left = time.monotonic() + 2, 2  # let it print its report
                if left <= 0:
                    problem = f"the machine panicked while waiting for {what}: {panic}" if panic else f"no {what} within {timeout * PATIENCE:.0f} s"
                    kind = Gone if panic else Timeout
                    break
                self._changed.wait(left)
        raise kind(problem + self.tail())

    def expect(self, pattern, timeout=60):
        """Waits for a line (also the unfinished last one) that matches from here on; returns the match, and consumes up to its line."""
        compiled = re.compile(pattern)

        def found():
            for index in range(self._mark, len(self.screen.lines)):
                match = compiled.search(self.screen.lines[index])
                if match:
                    self._mark = min(index + 1, len(self.screen.lines) - 1)
                    return match
            return None
        return self._wait(found, timeout, f"line matching {pattern!r}")

    def wait_prompt(self, timeout=120, prompt=re.escape(PROMPT) + "$", after=0):
        """Waits until the cursor stands behind the prompt, at least `after` lines down; returns the lines in between."""
        compiled = re.compile(prompt)
        start = self._mark

        def found():
            last = len(self.screen.lines) - 1
            if last - start < after or not compiled.match(self.screen.lines[last]):
                return None
            self._mark = last
            return self.screen.lines[start:last]
        return self._wait(found, timeout, f"prompt {PROMPT!r}" if prompt.startswith("dom0") else f"prompt {prompt!r}")

    # --- writing ---

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        try:
            while data:
                # QEMU waits for room in the UART's FIFO of 16 bytes; Bochs lets it overflow.
                data = data[os.write(self._input, data[:8 if self.emulator == "bochs" else 512]):]
                if data and self.emulator == "bochs":
                    time.sleep(0.1 * PATIENCE)
        except OSError:
            raise Gone(f"the machine ended while it was being typed to{self.tail()}") from None

    def type_line(self, line, timeout=60, prompt=re.escape(PROMPT) + "$"):
        """Types a line at a prompt and returns what was printed up to the next prompt, without the echo of the line itself."""
        with self._changed:
            self._mark = len(self.screen.lines) - 1
        self.send(line + "\n")
        lines = self.wait_prompt(timeout, prompt, after=1)
        return "\n".join(text.rstrip() for text in lines[_echoed(lines, line):])

    def cmd(self, command, timeout=60):
        """Runs one command at the dom0 prompt: (output, exit status)."""
        output = self.type_line(command, timeout)
        status = self.type_line("echo $?", 30)
        match = re.search(r"^(\d+)$", status, re.M)
        if not match:
            raise Failure(f"`echo $?` after `{command}` printed {status!r}, not a number{self.tail()}")
        return Result(output, int(match[1]))

    def boot_to_prompt(self, timeout=300):
        self.wait_prompt(timeout)


def _echoed(lines, typed):
    """How many of the lines are the echo of what was typed: a line editor wraps a long one."""
    echo = ""
    for count, line in enumerate(lines, 1):
        echo += line
        if echo.rstrip().endswith(typed.rstrip()):
            return count
    return 1


def _drain(fd):
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        pass
