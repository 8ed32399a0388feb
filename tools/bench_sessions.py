# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that are a conversation at the dom0 prompt: the command `tsc` stamps the clock and the free memory before and after.

Each takes the machine and what has been measured so far, and returns {name: (value, unit)}. What fails is told and left out.
"""
import re

from common import Failure, say

MIB = 1024   # KiB
MANY = 80    # more guests of 64 MiB than fit into 4 GiB
GUEST = 'name = "{name}"\nkernel = "{kernel}"\nmemory = {memory}\nvcpus = 1\n{more}'
KERNEL = "/boot/bench-guest"


def _cfg(name, memory, kernel=KERNEL, more=""):
    return GUEST.format(name=name, memory=memory, kernel=kernel, more=more)


DOMAIN_FILES = {f"dom0/etc/xen/n{n}.cfg": _cfg(f"n{n}", 64) for n in range(MANY)} | {
    "dom0/etc/xen/big.cfg": _cfg("big", 256),
    "dom0/etc/xen/linux.cfg": _cfg("linux", 256, "/boot/vmlinuz-cloud", 'ramdisk = "/boot/initramfs"\nextra = "console=hvc0 quiet bench"\n'),
}


def idle_and_xenstore(machine, _):
    """An idle machine right after its start; then a guest that asks xenstore."""
    idle = _stamp(machine)
    used = (idle["total_kib"] - idle["free_kib"]) * 1024
    # The boot archive stays in memory as dom0's disk; the guests' kernels in it (Xen's dom0 has them on a disk) are counted apart.
    found = {"system.idle_memory_bytes": (used - machine.image.path("bootfs.cpio").stat().st_size, "bytes"), "system.idle_memory_with_boot_archive": (used, "bytes")}
    log = machine.type_line("xl dmesg", 60)
    stamp = re.search(r"at its prompt, \d+ ms after the kernel's start, tsc=(\d+)", log)
    if stamp:
        found["system.boot_to_dom0"] = (int(stamp[1]), "instructions")
    machine.type_line("xl create -c /etc/xen/bench.cfg", 120)
    return found


def domains(machine, measured):
    found = {}
    zeroing = measured.get("domain.zeroing_256M", {}).get("value", 0)
    for part in (_create_and_destroy, _to_userspace, _many):
        try:
            found |= part(machine, zeroing)
        except Failure as failure:
            say(f"{part.__name__.strip('_')}: {failure}")
    return found


def _create_and_destroy(machine, zeroing):
    """A paused guest of 256 MiB; its memory's zeroing, which has its own row, is not counted again."""
    created = _cost(machine, "xl create -p /etc/xen/big.cfg", 120) - zeroing
    return {"domain.create_paused_256M": (created, "instructions"), "domain.destroy_256M": (_cost(machine, "xl destroy big", 60), "instructions")}


def _to_userspace(machine, _):
    """From the command to the first process of Debian's cloud kernel, which tells the counter itself: a guest reads the machine's."""
    machine.send("tsc; xl create -c /etc/xen/linux.cfg\n")
    begin = int(machine.expect(r"tsc=(\d+) free", 30)[1])
    told = machine.expect(r"GUEST-TSC (\d+) ticks|^xl: .*", 300)
    if not told[1]:
        machine.wait_prompt(30)
        raise Failure(told[0])
    end = int(told[1])
    machine.send("\x1d")
    machine.wait_prompt(30)
    machine.type_line("xl destroy linux", 60)
    return {"domain.create_to_userspace_cloud": (end - begin, "instructions")} if end > begin else {}


def _many(machine, _):
    """Paused guests of 64 MiB until one more is refused."""
    first, took, count = _stamp(machine), [], 0
    for number in range(MANY):
        output, status = machine.cmd(f"tsc; xl create -p /etc/xen/n{number}.cfg && tsc", 120)
        if status:
            break
        stamps = _stamps(output)
        took.append(stamps[-1]["tsc"] - stamps[0]["tsc"])
        count, last = number + 1, stamps[-1]
    if count == 0:
        return {}
    each = (first["free_kib"] - last["free_kib"]) / count - 64 * MIB
    found = {"domain.max_64M_guests_in_4G": (count, "guests"), "domain.overhead_bytes_64M": (round(each * 1024), "bytes"), "domain.create_64M_first": (took[0], "instructions")}
    if count >= 54:
        found["domain.create_64M_54th"] = (took[53], "instructions")
    return found


def _cost(machine, command, timeout):
    """Ticks that a command takes, which must succeed."""
    output, status = machine.cmd(f"tsc; {command} && tsc", timeout)
    stamps = _stamps(output)
    if status or len(stamps) != 2:
        raise Failure(f"`{command}` ended with status {status}: {output}")
    return stamps[1]["tsc"] - stamps[0]["tsc"]


def _stamp(machine):
    stamps = _stamps(machine.type_line("tsc", 30))
    if not stamps:
        raise Failure(f"`tsc` printed no stamp{machine.tail(5)}")
    return stamps[0]


def _stamps(text):
    return [{"tsc": int(a), "free_kib": int(b), "total_kib": int(c)} for a, b, c in re.findall(r"tsc=(\d+) free_kib=(\d+) total_kib=(\d+)", text)]
