# SPDX-License-Identifier: Apache-2.0
"""The authority in the running machine is what its manifest says, capability by capability (capability_audit.py says how that is
decided); and the audit would see it if it were not."""
import copy
import json
import re

import image
from capability_audit import SUPERVISOR, Audit, audit, parse_manifest
from harness import booted, case, guest_cfg

MACHINE = dict(auto=False, cpus=2, cfgs={name: guest_cfg(name, memory=128) for name in ("left", "right")})
GENEROUS = "test/system/generous.dtb"
STATE = {}


def _dump(m):
    """A list that nothing changed in while it was made."""
    def whole():
        dump = json.loads(m.ok("caps --json", 120))
        return None if Audit(dump, STATE["manifest"]).dump.torn() else dump
    return m.until(whole, 120, "a dump that fits together")


@case("two guests run, and the manifest explains every capability and every shared page")
def explained(m):
    STATE["manifest"] = parse_manifest(image.need(image.MANIFEST).read_bytes())
    for name in ("left", "right"):
        with m.console(name, create=f"/etc/xen/{name}.cfg") as guest:
            guest.ok("xenstore-write data/here 1")
    STATE["dump"] = _dump(m)
    problems = audit(STATE["dump"], STATE["manifest"])
    assert not problems, f"{len(problems)} things are not as the manifest says:\n" + "\n".join(problems[:20])
    assert {c["name"] for c in STATE["dump"]} == {"supervisor", "Domain-0", "console", "xenstore", "platform", "left", "right"}


# --- what the audit must see: each of these spoils one thing in the live dump ---


def _tag(dump, name):
    return next(c["domain"] for c in dump if c["name"] == name)


def _root(dump, tag):
    return next(c for c in dump if c["domain"] == tag and c["type"] == "CNode" and c["object"] == c["container"])


def _give(dump, to, cap, **changes):
    """`to` holds a copy of `cap` in its root CNode."""
    container = _root(dump, _tag(dump, to))["container"]
    index = 1 + max(c["index"] for c in dump if c["container"] == container)
    dump.append(dict(cap, domain=_tag(dump, to), name=to, container=container, index=index, slot=index, mapped="", mapped_in=0,
                     parent_container=cap["container"], parent_index=cap["index"]) | changes)


def _find(dump, holder, **fields):
    return next(c for c in dump if c["name"] == holder and all(c[k] == v for k, v in fields.items()))


def _held(dump, holder, **fields):
    """The same among what the domain itself holds, not among what is kept of it."""
    held = Audit(dump, STATE["manifest"]).dump.held[_tag(dump, holder)]
    return next(c for c in held if all(c[k] == v for k, v in fields.items()))


def _from(dump, holder, owner, kind):
    """What `holder` got of `owner`'s memory: its end of their channel."""
    made = Audit(dump, STATE["manifest"])
    return next(c for c in made.dump.held[_tag(dump, holder)] if c["type"] == kind and made.made_of_chunk_of(c) == _tag(dump, owner))


def _map_into(dump, name, cap):
    """`cap`, mapped writable where `name` has other writable memory mapped."""
    made = Audit(dump, STATE["manifest"])
    there = next(c for _, writable, c in made.mappings[_tag(dump, name)] if writable and c["mapped"])
    _give(dump, name, cap, mapped="rw", mapped_in=there["mapped_in"], container=there["container"], index=1 << 17)


def _device_frame(dump):
    return next(c for c in dump if c["type"] == "Frame" and c["device"] and c["domain"] == SUPERVISOR)


SPOILED = {
    "a UART port of dom0's": (lambda d: _give(d, "Domain-0", _find(d, "console", type="IoPort"), badge=0x3ff | 1 << 16),
                              r"Domain-0 .*IoPort.*the UART is console's alone"),
    "the UART's interrupt at platform": (lambda d: _give(d, "platform", _find(d, "console", type="IrqHandler", badge=4)), r"platform .*IrqHandler.*console's alone"),
    "console without its interrupt": (lambda d: d.remove(_held(d, "console", type="IrqHandler", badge=4)), r"console \(2\) lacks .* uart-irq"),
    "a VMM's frame at dom0": (lambda d: _give(d, "Domain-0", _held(d, "left", type="Frame", rights="rwxgcd")), r"Domain-0 .*Frame.* of the spawned left, and can write"),
    "a VMM's frame at dom0, to read": (lambda d: _give(d, "Domain-0", _held(d, "left", type="Frame", rights="rwxgcd"), rights="r"), r"Domain-0 .*Frame r .* of left, which is not an end"),
    "a VMM's CNode at dom0": (lambda d: _give(d, "Domain-0", _root(d, _tag(d, "left"))), r"Domain-0 .*CNode.* of the spawned left"),
    "a VMM's thread at dom0": (lambda d: _give(d, "Domain-0", _held(d, "right", type="Thread")), r"Domain-0 .*Thread.* of the spawned right"),
    "a VMM's address space at dom0": (lambda d: _give(d, "Domain-0", _held(d, "right", type="PageTable")), r"Domain-0 .*PageTable.* of the spawned right"),
    "a VMM's memory at dom0": (lambda d: _give(d, "Domain-0", _held(d, "left", type="Untyped")), r"Domain-0 .*Untyped.* of the spawned left"),
    "a frame of one VMM at the other": (lambda d: _give(d, "right", _held(d, "left", type="Frame", rights="rwxgcd"), rights="r"), r"right .*Frame r .* of left, with which it has no channel"),
    "memory that two VMMs can write": (lambda d: _map_into(d, "right", _held(d, "left", type="Frame", mapped="rw")), r"left and right can both write page|right and left can both write page"),
    "memory of the supervisor's that a VMM can write": (lambda d: _map_into(d, "left", _find(d, "supervisor", type="Frame", device=False)), r"left \(\d+\) can write \d+ bytes that are not its own"),
    "a boot module that xenstore can write": (lambda d: _map_into(d, "xenstore", _device_frame(d)), r"xenstore \(1\) can write \d+ bytes of devices or boot modules"),
    "a channel's region that both can write": (lambda d: _from(d, "console", "left", "Frame").update(rights="rw"), r"console .*Frame rw .* of left, which is not an end of their channel"),
    "a doorbell on which its ringer can wait": (lambda d: _from(d, "xenstore", "right", "Notification").update(rights="rw"), r"xenstore .*Notification rw .* of right, which is not an end"),
    "a second region of one channel": (lambda d: _give(d, "console", _from(d, "console", "left", "Frame")), r"console .*Frame.* of left, which is not an end"),
    "a VMM with dom0's role at xenstore": (lambda d: _held(d, "left", type="Endpoint", rights="wg", badge=_tag(d, "left")).update(badge=_tag(d, "left") | 1 << 32), r"left .*Endpoint wg .*nothing declares it"),
    "a VMM with another one's identity": (lambda d: _held(d, "left", type="Endpoint", rights="wg", badge=_tag(d, "left")).update(badge=_tag(d, "right")), r"left .*Endpoint wg .*nothing declares it"),
    "a service that configures its own time": (lambda d: _held(d, "xenstore", type="SchedContext").update(rights="rw"), r"xenstore .*SchedContext rw .*could configure its own time"),
    "the capability dump at a VMM": (lambda d: _give(d, "left", _find(d, "Domain-0", type="Inspect")), r"left .*Inspect.*nothing declares it"),
    "spawning at xenstore": (lambda d: _give(d, "xenstore", _held(d, "Domain-0", type="Endpoint", badge=2 << 32)), r"xenstore .*Endpoint.*nothing declares it"),
    "all interrupts at console": (lambda d: _give(d, "console", _find(d, "supervisor", type="IrqControl")), r"console .*IrqControl.*nothing declares it"),
    "a CNode that a domain must not name": (lambda d: _give(d, "left", _find(d, "supervisor", type="CNode", index=1)), r"left \(\d+\) reaches a CNode of supervisor"),
    "a dump with a hole": (lambda d: d.remove(next(c for c in d if any(o["parent_container"] == c["container"] and o["parent_index"] == c["index"] for o in d))), r"the dump is torn"),
}


@case(f"each of {len(SPOILED)} ways to spoil that dump is seen and named")
def spoiled(_):
    for what, (spoil, words) in SPOILED.items():
        dump = [dict(c) for c in STATE["dump"]]
        spoil(dump)
        problems = audit(dump, STATE["manifest"])
        assert any(re.search(words, p) for p in problems), f"the audit does not see {what}, but {problems[:5]}"


@case("a manifest that says less than what a domain has is no explanation")
def stricter_manifest(_):
    for service, grant in (("console", "uart-irq"), ("dom0", "inspect"), ("xenstore", "store"), ("platform", "reset-ports")):
        manifest = copy.deepcopy(STATE["manifest"])
        del manifest.children["services"].children[service].children[grant]
        assert audit(STATE["dump"], manifest), f"the audit does not miss {service}'s {grant}"
    manifest = copy.deepcopy(STATE["manifest"])
    manifest.children["services"].children["console"].properties["memory-kib"] = (4096).to_bytes(4, "big")
    assert any("the manifest gives it 4194304" in p for p in audit(STATE["dump"], manifest))
    manifest.children["templates"].children["vmm"].properties["connects"] = b"console\0"
    assert any("with which it has no channel" in p for p in audit(STATE["dump"], manifest))


@case("`caps` lists domain by domain, the supervisor apart from dom0; for people, as JSON and as a graph")
def views(m):
    total = re.search(r"^(\d+) capabilities$", m.ok("caps", 120), re.M)
    table = m.ok("caps console")
    assert re.search(r"^console +2 +\d+ IoPort +rwxgcd +ports 0x3f8-3ff ", table, re.M), table
    assert set(re.findall(r"^(\S+) +\d+ ", table, re.M)) - {table.splitlines()[-1].split()[0]} == {"console"}, table
    runs = [int(n) for n in re.findall(r" x (\d+)$", table, re.M)]
    count = int(re.search(r"^(\d+) capabilities$", table, re.M)[1])
    assert max(runs) > 20 and len(table.splitlines()) - 2 + sum(runs) - len(runs) == count == len(json.loads(m.ok("caps console --json")))
    assert int(total[1]) > count > 50
    left = json.loads(m.ok("caps left --json"))
    assert {c["name"] for c in left} == {"left"} and {"Vcpu", "Thread", "Frame", "Untyped"} <= {c["type"] for c in left}
    assert {c["name"] for c in json.loads(m.ok("caps supervisor --json"))} == {"supervisor"}
    dot = m.ok("caps left --dot", 120)
    assert re.fullmatch(r'digraph capabilities \{\n  rankdir=LR;\n  subgraph cluster_\d+ \{\n    label="left \(\d+\)";\n'
                        r'(    c\d+_\d+ \[shape=box,label="\d+ [-\w]+"\];\n)+  \}\n(  c\d+_\d+ -> o\d+;\n)+(  o\d+ \[label="[\w ]+"\];\n)+(  o\d+ -> o\d+ \[style=dashed\];\n)+\}', dot), dot[:500]
    m.refused("caps nobody", "nobody")
    m.refused("caps --json --dot", "Usage")


@case("a machine whose manifest gives dom0 a UART port fails the audit")
def generous(_):
    image.ninja([GENEROUS])
    manifest = parse_manifest(image.need(GENEROUS).read_bytes())
    with booted("audit-generous", manifest=GENEROUS, auto=False) as m:
        dump = json.loads(m.ok("caps --json", 120))
    assert any("Domain-0" in p and "the UART is console's alone" in p for p in audit(dump, manifest)), audit(dump, manifest)
    assert any("Domain-0" in p and "nothing declares it" in p for p in audit(dump, STATE["manifest"]))
