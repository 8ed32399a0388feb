# SPDX-License-Identifier: Apache-2.0
"""What a system test is written with. A module test_*.py has

    MACHINE = dict(cpus=2, memory=2048)       # arguments of boot(); None if the cases start what they need themselves

    @case("a sentence that says what holds")
    def some_name(m):                         # m is the running machine at its dom0 prompt
        output, status = m.cmd("xl list")
        assert status == 0 and "Domain-0" in output, output

and its cases run in the order of the file, on one machine, each counted. ALONE = True keeps other modules from running beside it.
"""
import collections
import contextlib
import json
import pathlib
import re
import tempfile

import image
import machine
from common import LOGS
from machine import Failure, Gone, Timeout  # for tests that expect one

ESCAPE = "\x1d"  # Ctrl-] leaves `xl console`
GUEST_PROMPT = r"^[\w-]+# $"


def case(title):
    def mark(function):
        function.title = title
        return function
    return mark


def cases(module):
    """The cases of a module in the order of their definition."""
    return [f for f in vars(module).values() if callable(f) and hasattr(f, "title")]


def boot(name, options):
    m = TestMachine.create(name, **options)
    try:
        m.start()
        m.boot_to_prompt()
    except BaseException:
        m.stop()
        raise
    return m


@contextlib.contextmanager
def booted(name, **options):
    """A machine for one case, in modules with MACHINE = None."""
    m = boot(name, options)
    try:
        yield m
    finally:
        m.stop()


class TestMachine(machine.Machine):
    @classmethod
    def create(cls, name, cfgs=(), files=None, auto=True, manifest=image.MANIFEST, options="", root=None, bootfs=None, **how):
        """cfgs: host xl.cfg files (paths), or {"name": text}; files: {"/etc/xen/bad.cfg": text or bytes} to appear in dom0; bootfs: {"stubdom/x": path}, more files beside dom0's; the rest: machine.Machine."""
        files = {"dom0" + path: content for path, content in (files or {}).items()} | (bootfs or {})
        if isinstance(cfgs, dict):
            for cfg, text in cfgs.items():
                files[f"dom0/etc/xen/{cfg}.cfg"] = text
            cfgs = []
        made = image.Image(cfgs, auto=auto, files=files, manifest=manifest, options=options, root=root).prepare()
        return cls(made, log=LOGS / f"{name}.log", **how)

    def ok(self, command, timeout=60):
        """Runs a command that must succeed; returns its output."""
        output, status = self.cmd(command, timeout)
        assert status == 0, f"`{command}` ended with status {status}: {output}"
        return output

    def refused(self, command, *words, timeout=60):
        """Runs a command that must fail with one clear sentence, which holds all of `words`."""
        output, status = self.cmd(command, timeout)
        assert status != 0, f"`{command}` succeeded: {output}"
        lines = [line for line in output.splitlines() if line.strip()]
        assert 1 <= len(lines) <= 2, f"`{command}` should fail with one sentence, and printed {len(lines)} lines: {output}"
        for word in words:
            assert word in output, f"`{command}` should mention {word!r}: {output}"
        return output

    def domains(self):
        """`xl list` as {name: {"id", "mem", "vcpus", "state", "time"}}."""
        found = {}
        for line in self.ok("xl list").splitlines()[1:]:
            name, number, memory, vcpus, state, seconds = line.split()
            found[name] = {"id": int(number), "mem": int(memory), "vcpus": int(vcpus), "state": state, "time": float(seconds)}
        return found

    def info(self):
        """`xl info` as {key: text}."""
        pairs = (line.split(":", 1) for line in self.ok("xl info").splitlines() if ":" in line)
        return {key.strip(): value.strip() for key, value in pairs}

    def errors(self):
        """What the emulator wrote on its standard error: its traces."""
        return self.log.with_suffix(".err").read_text(errors="replace")

    @staticmethod
    def time_passes(seconds):
        machine.time.sleep(seconds)

    def until(self, condition, timeout=60, what="the condition"):
        """Repeats condition() until it answers something true."""
        end = machine.time.monotonic() + timeout * machine.PATIENCE
        while True:
            answer = condition()
            if answer:
                return answer
            if machine.time.monotonic() > end:
                raise Timeout(f"{what} did not come true within {timeout * machine.PATIENCE:.0f} s{self.tail()}")
            machine.time.sleep(0.3)

    def until_gone(self, *names, timeout=90):
        self.until(lambda: not set(names) & set(self.domains()), timeout, f"{' and '.join(names)} gone from xl list")

    @contextlib.contextmanager
    def console(self, domain, create=None, timeout=180):
        """Attaches to a guest's console (`create`: by `xl create -c CONFIG`), waits for its shell, detaches at the end."""
        with self._changed:
            self._mark = len(self.screen.lines) - 1
        self.send(f"xl create -c {create}\n" if create else f"xl console {domain}\n")
        self.expect(r"xl (create|console)", 30)
        guest = GuestConsole(self, domain)
        try:
            guest.wait_shell(timeout)
            yield guest
        finally:
            guest.detach()

    @staticmethod
    def seconds():
        return machine.time.monotonic()

    _syncs = 0

    def resync(self, attempts=12):
        """Back to the dom0 prompt from wherever a failed case, or dom0's death, left: leave a console, drop what is typed, and see
        an answer that nothing before it can have given. What is typed while dom0 is away is lost, hence the attempts."""
        for attempt in range(attempts):
            TestMachine._syncs += 1
            self.send(ESCAPE + "\x03")
            machine.time.sleep(0.3)
            self.send(f"\necho sync-{TestMachine._syncs}\n")
            try:
                self.expect(rf"^sync-{TestMachine._syncs}$", 3)
                self.wait_prompt(30)
                return
            except Timeout:
                if attempt + 1 == attempts:
                    raise

    def power_off(self, timeout=60):
        self.send("poweroff\n")
        self.wait_end(timeout)


class GuestConsole:
    _syncs = 0

    def __init__(self, m, domain):
        self.machine, self.domain, self.attached = m, domain, True

    def wait_shell(self, timeout=180):
        """A shell that answers: whatever prompts the history shows, only what follows the answer counts."""
        end = machine.time.monotonic() + timeout * machine.PATIENCE
        self.machine.expect(r"GUEST-READY|^(?!dom0# )[\w-]+# ", timeout)  # its log is shown: what is typed from here on is the guest's
        while True:
            GuestConsole._syncs += 1
            self.send(f"\necho answer-$(({GuestConsole._syncs} + 1000))\n")
            try:
                self.machine.expect(rf"^answer-{GuestConsole._syncs + 1000}$", 5)
                self.machine.wait_prompt(30, GUEST_PROMPT)
                return
            except Timeout:
                if machine.time.monotonic() > end:
                    raise

    def send(self, text):
        self.machine.send(text)

    def expect(self, pattern, timeout=60):
        return self.machine.expect(pattern, timeout)

    def cmd(self, command, timeout=60):
        """Runs a command in the guest's shell: (output, exit status)."""
        output = self.machine.type_line(command, timeout, GUEST_PROMPT)
        status = self.machine.type_line("echo $?", 30, GUEST_PROMPT)
        match = re.search(r"^(\d+)$", status, re.M)
        if not match:
            raise Failure(f"`echo $?` in {self.domain} printed {status!r}{self.machine.tail()}")
        return machine.Result(output, int(match[1]))

    def ok(self, command, timeout=60):
        output, status = self.cmd(command, timeout)
        assert status == 0, f"in {self.domain}: `{command}` ended with status {status}: {output}"
        return output

    def ended(self, timeout=120):
        """The guest went away and xl came back to the dom0 prompt by itself."""
        self.machine.wait_prompt(timeout)
        self.attached = False

    def detach(self):
        if self.attached:
            self.attached = False
            self.machine.send(ESCAPE)
            self.machine.wait_prompt(30)


def object_counts(m, dom0_restarts=False):
    """How many kernel objects of each type exist, from the live capability dump. Not counted are the Frames of dom0's own heap, which
    depend on what this instance of it was asked to print, and, if instances are compared, its pool of threads with a Notification each,
    as many as ever ran at once: both come out of its fixed memory, never out of what guests get."""
    own = {"Frame", "Thread", "Notification"} if dom0_restarts else {"Frame"}
    dump = json.loads(m.ok("caps --json", 120))
    objects = {(c["type"], c["object"]) for c in dump if c["name"] != "Domain-0" or c["type"] not in own}
    return collections.Counter(kind for kind, _ in objects)


def guest_cfg(name, kernel="cloud", vcpus=1, memory=256, extra="", **keys):
    """The text of an xl.cfg for a sample guest; `keys` are more lines: on_crash="destroy" …"""
    lines = {"name": f'"{name}"', "kernel": f'"/boot/vmlinuz-{kernel}"', "ramdisk": '"/boot/initramfs"',
             "extra": f'"{" ".join(["console=hvc0 quiet hostname=" + name, extra]).strip()}"', "memory": memory, "vcpus": vcpus}
    lines |= {key: value if isinstance(value, int) else f'"{value}"' for key, value in keys.items()}
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


@contextlib.contextmanager
def folder_of(files):
    """A temporary host folder with these files, for tests of the driver script itself."""
    with tempfile.TemporaryDirectory() as name:
        for file, content in files.items():
            (pathlib.Path(name) / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        yield pathlib.Path(name)
