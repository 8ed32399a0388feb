# SPDX-License-Identifier: Apache-2.0
"""Stub domains die in every way; each time that domain alone ends, the log says why and where, and it is started again."""
import re
import subprocess

import image
from common import LOGS
from harness import TestMachine, case

MACHINE = None
PROGRAM, MANIFEST = "test/guests/crash/crash", "test/guests/crash/crash.dtb"
WAYS = {  # service: what the log must say of its death
    "crash-null": r"died of a page fault at image\+0x\w+, address 0, .*null pointer",
    "crash-call": r"died of a page fault at 0, address 0, .*null pointer",
    "crash-overflow": r"died of a page fault at image\+0x\w+, .*main thread's stack .* is used up",
    "crash-abort": r"ended with exit code 134 \(it aborted",
    "crash-throw": r"ended with exit code 134 \(it aborted",
    "crash-relro": r"died of a page fault at image\+0x\w+, address 0x\w+, error code 0x7",
    "crash-thread-null": r"died of a page fault at image\+0x\w+, address 0, .*null pointer",
    "crash-thread-deep": r"died of a page fault at image\+0x\w+, .*the thread's stack is used up",
    "crash-thread-throw": r"ended with exit code 134 \(it aborted",
    "crash-far-null": r"died of a page fault at image\+0x\w+, address 0, .*null pointer",
    "crash-far-abort": r"ended with exit code 134 \(it aborted",
    "crash-exit": r"ended with exit code 3$",
}


def _names(program, addresses):
    """Function names of addresses, as docs/debugging.md says to find them."""
    answer = subprocess.run(["addr2line", "-Cfe", program, *addresses], check=True, capture_output=True, text=True).stdout
    return answer.splitlines()[::2]


def _dmesg(m, condition):
    def enough():
        log = m.ok("xl dmesg", 60)
        return log if condition(log) else None
    return m.until(enough, 60, "the deaths in xl dmesg")


@case("every death is in `xl dmesg` with its reason, the domain lives again, and the machine goes on")
def crashes(_):
    image.ninja([PROGRAM, MANIFEST])
    program = image.need(PROGRAM)
    made = image.Image(auto=False, files={"stubdom/crash": program.read_bytes()}, manifest=MANIFEST)
    with TestMachine(made.prepare(), log=LOGS / "crash.log") as m:
        m.boot_to_prompt()
        log = _dmesg(m, lambda text: "is not started again" in text and all(f"{way}: lives again" in text for way in WAYS))
        for way, words in WAYS.items():
            assert re.search(rf"supervisor: {way} {words}", log, re.M), f"the log says nothing fitting of {way}: {log}"
        assert len(re.findall("supervisor: crash-always died of", log)) == 9, log

        trace = re.search(r"crash-null died of a page fault at image\+(0x\w+).*\n.*called from: (.*)", log)
        found = _names(program, [trace[1], *re.findall(r"image\+(0x\w+)", trace[2])])
        assert "write_to" in found[0] and "main" in found, found
        assert re.search(r"crash-overflow died.*\n.*called from: image\+0x\w+ \(\d+ times\)", log), log

        assert "Domain-0" in m.ok("xl list")
        assert re.search(r"crash-always\s.*[Ff]ailed", m.ok("stubdom list")), m.ok("stubdom list")
