# SPDX-License-Identifier: Apache-2.0
"""xenstore from dom0's tools and from Debian's own xenstore-utils in a guest, over /dev/xen/xenbus."""
from harness import case

MACHINE = dict(cpus=2)


@case("dom0 writes, reads, lists and removes nodes")
def tools(m):
    m.ok("xenstore-write /test/a one /test/b two")
    assert m.ok("xenstore-read /test/a") == "one"
    assert m.ok("xenstore-read /test/a /test/b").split() == ["one", "two"]
    assert set(m.ok("xenstore-list /test").split()) == {"a", "b"}
    assert 'a = "one"' in m.ok("xenstore-ls /test")
    m.ok("xenstore-rm /test")
    m.refused("xenstore-read /test/a")


@case("the guest's directory is seeded: name, domid, memory, console")
def seeded(m):
    number = m.ok("xl domid debian").strip()
    assert m.ok(f"xenstore-read /local/domain/{number}/name") == "debian"
    assert m.ok(f"xenstore-read /local/domain/{number}/domid") == number
    tree = m.ok(f"xenstore-ls /local/domain/{number}")
    for word in ("memory", "cpu", "control", "device"):
        assert word in tree, tree


@case("a guest reads its own name, and writes below its data node")
def guest_own(m):
    number = m.ok("xl domid debian").strip()
    with m.console("debian") as guest:
        assert guest.ok("xenstore-read name") == "debian"
        guest.ok("xenstore-write data/color blue")
        assert guest.ok("xenstore-read data/color") == "blue"
        assert guest.ok("xenstore-ls data") == 'color = "blue"'
    assert m.ok(f"xenstore-read /local/domain/{number}/data/color") == "blue"


@case("a guest is refused elsewhere, with EACCES")
def guest_elsewhere(m):
    with m.console("debian") as guest:
        for command in ("xenstore-write /local/domain/0/evil 1", "xenstore-write /evil 1", "xenstore-rm /local/domain/0", "xenstore-write name other"):
            output, status = guest.cmd(command)
            assert status != 0, f"{command}: {output}"
        guest.ok("xenstore-read name")
    m.refused("xenstore-read /evil")


@case("a watch set in dom0 fires when the guest writes, and one in the guest when dom0 writes")
def watches(m):
    number = m.ok("xl domid debian").strip()
    node = f"/local/domain/{number}/data/watched"
    with m.console("debian") as guest:
        guest.ok("(sleep 8; xenstore-write data/watched now) >/dev/null 2>&1 &")
    m.ok(f"xenstore-watch -n 2 {node}", 60)
    with m.console("debian") as guest:
        guest.ok("(xenstore-watch -n 2 data/back > /tmp/fired; echo done >> /tmp/fired) >/dev/null 2>&1 &")
        m.until(lambda: "data/back" in guest.cmd("cat /tmp/fired").output, 30, "the first event, which says that the watch stands,")
        assert "done" not in guest.ok("cat /tmp/fired")
    m.ok(f"xenstore-write /local/domain/{number}/data/back 1")
    with m.console("debian") as guest:
        m.until(lambda: "done" in guest.cmd("cat /tmp/fired").output, 30, "the watch event in the guest")


@case("@introduceDomain and @releaseDomain tell of guests that come and go")
def special(m):
    # the first event of a watch comes at once; the second is the release
    with m.console("debian") as guest:
        guest.ok("(sleep 5; poweroff -f) >/dev/null 2>&1 &")
    m.ok("xenstore-watch -n 2 @releaseDomain", 60)
    m.until_gone("debian")
