# SPDX-License-Identifier: Apache-2.0
"""The second emulator, whose SVM is stricter: the same machine boots in Bochs to the dom0 prompt with a 2-vCPU guest."""
import os

from harness import booted, case

MACHINE = None
ALONE = True

if os.environ.get("BULKHEAD_BOCHS", "1") == "1":
    @case("Bochs (ryzen) boots to the dom0 prompt, and its guest has two vCPUs")
    def boots():
        with booted("bochs", emulator="bochs", cpus=1, memory=1024) as m:
            with m.console("debian", timeout=300) as guest:
                assert guest.ok("nproc") == "2"
                assert "cloud" in guest.ok("uname -r")
                assert guest.ok("xenstore-read name") == "debian"
            m.send("poweroff\n")
