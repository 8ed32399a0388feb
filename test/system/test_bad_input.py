# SPDX-License-Identifier: Apache-2.0
"""Every mistake is one clear sentence, an exit status, and leaves nothing behind."""
from harness import case, guest_cfg

GOOD = guest_cfg("good")
MACHINE = dict(auto=False, cpus=1, files={
    "/etc/xen/nokernel.cfg": GOOD.replace("vmlinuz-cloud", "no-such-kernel"),
    "/boot/text": "this is no kernel\n" * 1000,
    "/etc/xen/text.cfg": GOOD.replace("/boot/vmlinuz-cloud", "/boot/text"),
    "/boot/truncated": b"",  # filled in below
    "/etc/xen/truncated.cfg": GOOD.replace("/boot/vmlinuz-cloud", "/boot/truncated"),
    "/etc/xen/small.cfg": guest_cfg("small", memory=1),
    "/etc/xen/large.cfg": guest_cfg("large", memory=1000000),
    "/etc/xen/good.cfg": GOOD,
    "/etc/xen/syntax.cfg": 'name = "x"\nmemory = = 3\n',
    "/etc/xen/unknown.cfg": GOOD + "flavour = 3\n",
    "/etc/xen/pv.cfg": GOOD + 'type = "pv"\n',
    "/etc/xen/vcpus.cfg": guest_cfg("many", vcpus=1000),
    "/etc/xen/noname.cfg": GOOD.replace('name = "good"\n', ""),
    "/etc/xen/noramdisk.cfg": GOOD.replace("/boot/initramfs", "/boot/no-such-ramdisk"),
    "/etc/xen/folder.cfg": GOOD.replace("/boot/vmlinuz-cloud", "/boot"),
    "/etc/xen/empty.cfg": GOOD.replace("/boot/vmlinuz-cloud", "/boot/empty"),
    "/boot/empty": b"",
    "/etc/xen/maxmem.cfg": GOOD + "maxmem = 512\n",
    "/etc/xen/quote.cfg": GOOD + 'on_crash = "destroy\n',
    "/etc/xen/bytes.cfg": bytes(range(256)) * 8,
})


def _truncated():
    import debian
    return debian.guest_kernel("cloud").read_bytes()[:1 << 20]


MACHINE["files"]["/boot/truncated"] = _truncated()

REFUSED = (
    ("a missing kernel file", "xl create /etc/xen/nokernel.cfg", ["no-such-kernel"]),
    ("a text file as kernel", "xl create /etc/xen/text.cfg", ["/boot/text"]),
    ("a truncated bzImage", "xl create /etc/xen/truncated.cfg", ["/boot/truncated", "truncated"]),
    ("a missing ramdisk", "xl create /etc/xen/noramdisk.cfg", ["ramdisk", "/boot/no-such-ramdisk"]),
    ("a folder as kernel", "xl create /etc/xen/folder.cfg", ["kernel", "'/boot'"]),
    ("an empty file as kernel", "xl create /etc/xen/empty.cfg", ["/boot/empty", "empty"]),
    ("too little memory", "xl create /etc/xen/small.cfg", ["memory"]),
    ("more memory than there is", "xl create /etc/xen/large.cfg", ["memory"]),
    ("a syntax error, with file, line, column and what was expected", "xl create /etc/xen/syntax.cfg", ["syntax.cfg:2:10", "expected"]),
    ("a string without an end", "xl create /etc/xen/quote.cfg", ["quote.cfg:7:12", "closing"]),
    ("a file that is no text", "xl create /etc/xen/bytes.cfg", ["bytes.cfg:1:1"]),
    ("memory that could not be given later", "xl create /etc/xen/maxmem.cfg", ["maxmem.cfg:7:1", "maxmem"]),
    ("a bad setting on the command line", "xl create /etc/xen/good.cfg memory=lots", ["command line:1:8", "lots"]),
    ("an unknown key", "xl create /etc/xen/unknown.cfg", ["flavour"]),
    ("type=pv", "xl create /etc/xen/pv.cfg", ["pv"]),
    ("too many vCPUs", "xl create /etc/xen/vcpus.cfg", ["vcpus"]),
    ("a configuration without a name", "xl create /etc/xen/noname.cfg", ["name"]),
    ("a configuration that does not exist", "xl create /etc/xen/nowhere.cfg", ["nowhere.cfg"]),
    ("a domain that does not exist", "xl destroy nobody", ["nobody"]),
    ("a console of nobody", "xl console nobody", ["nobody"]),
    ("an unknown subcommand", "xl frobnicate", ["frobnicate"]),
    ("a subcommand that Bulkhead does not have yet", "xl migrate a b", ["migrate"]),
    ("an unknown option", "xl list --frob", ["--frob"]),
    ("a xenstore path that does not exist", "xenstore-read /no/such/node", ["/no/such/node"]),
    ("destroying domain 0", "xl destroy Domain-0", ["domain 0"]),
    ("pausing a stub domain", "xl pause xenstore", ["stub domain", "stubdom restart"]),
    ("a name for a guest that is no name", "xl rename nobody 7", ["nobody"]),
    ("a stub domain that does not exist", "stubdom restart nobody", ["nobody"]),
)


def _refused(what, command, words):
    @case(f"{what} is refused, and nothing is leaked")
    def refused(m):
        before = m.info()["free_memory"], sorted(m.domains())
        m.refused(command, *words)
        after = m.info()["free_memory"], sorted(m.domains())
        assert before == after, (before, after)
    return refused


for _number, _row in enumerate(REFUSED):
    globals()[f"refused_{_number}"] = _refused(*_row)


@case("a name in use is refused, and the guest that has it goes on")
def name_in_use(m):
    m.ok("xl create /etc/xen/good.cfg", 120)
    m.refused("xl create /etc/xen/good.cfg", "good")
    with m.console("good") as guest:
        assert guest.ok("nproc") == "1"
    m.ok("xl destroy good")
