# SPDX-License-Identifier: Apache-2.0
"""After a warm-up round, creating and destroying guests leaves free memory and the count of every kernel object as they were."""
import os

from harness import case, object_counts

MACHINE = dict(auto=False, cpus=2)
ROUNDS = int(os.environ.get("BULKHEAD_RECYCLE_ROUNDS", "20"))


def _round(m):
    m.ok("xl create /etc/xen/debian2.cfg", 120)
    m.ok("xl destroy debian2", 60)
    m.until_gone("debian2")


@case(f"{ROUNDS} times create and destroy: the same free memory, the same kernel objects")
def recycle(m):
    _round(m)
    memory, objects = m.info()["free_memory"], object_counts(m)
    for _ in range(ROUNDS):
        _round(m)
    assert m.info()["free_memory"] == memory
    assert object_counts(m) == objects


@case("a guest that ran to its shell leaves nothing either")
def recycle_running(m):
    memory, objects = m.info()["free_memory"], object_counts(m)
    with m.console("debian2", create="/etc/xen/debian2.cfg") as guest:
        guest.send("poweroff -f\n")
        guest.ended()
    m.until_gone("debian2")
    assert m.info()["free_memory"] == memory
    assert object_counts(m) == objects
