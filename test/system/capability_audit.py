# SPDX-License-Identifier: Apache-2.0
"""Is the authority in a machine what its manifest says? audit(dump, manifest) answers with a sentence for each capability or mapping
that should not be, or is missing. It trusts the kernel's dump (`caps --json`) and the manifest (a compiled device tree), and
computes from the manifest alone what each domain may hold; nothing here knows what the supervisor does.

What a domain *holds* is in the CNodes that its threads' root CNode reaches, or in a slot of its threads and vCPUs. It must be
  - made of the domain's own memory: its derivation passes one of the domain's chunks (an Untyped of the supervisor's that nothing
    of another domain is made of), or
  - one of what docs/manifest.md lists for it, each exactly once, with exactly these rights, or
  - its end of a channel that the manifest declares: of the other end's memory one Frame, not writable, and two Notifications.
"""
import collections
import struct

SUPERVISOR = 0x7ff2
ALL = "rwxgcd"
CONTROL_ROLE, FROM_DOMAIN, FROM_SPAWNER = 1 << 32, 1 << 32, 2 << 32
CSPACE, VSPACE, GUEST_ROOT = 0, 1, 1   # slots of a thread; of a vCPU
PAGE = 4096
OPTIONAL = ("acpi-power", "acpi-event", "acpi-smi", "acpi-timer", "acpi-sci", "intel-tco")   # absent where the firmware has none
DEVICE_BYTES = {"acpi-hpet": PAGE, "intel-tco": PAGE, "framebuffer": 64 << 20}               # that may be mapped, at most
# Where QEMU's q35 with SeaBIOS has what ACPI and the chipset tell of.
Q35_PORTS = {"acpi-power": (0x604, 2), "acpi-event": (0x600, 4), "acpi-smi": (0xb2, 1), "acpi-timer": (0x608, 4), "intel-tco": (0x660, 32)}
Q35_SCI = 9
UART_PORTS, UART_IRQ = range(0x3f8, 0x400), 4

# --- the manifest ------------------------------------------------------------------------------------------------------


class Node:
    def __init__(self):
        self.properties, self.children = {}, {}

    def texts(self, name):
        return self.properties[name].rstrip(b"\0").decode().split("\0") if name in self.properties else []

    def text(self, name):
        return next(iter(self.texts(name)), "")

    def number(self, name, default=None):
        return struct.unpack(">I", self.properties[name])[0] if name in self.properties else default


def parse_manifest(blob):
    """The root Node of a flattened device tree (Devicetree Specification 0.4, chapter 5)."""
    magic, _, structure, strings = struct.unpack_from(">4I", blob)
    assert magic == 0xd00dfeed, "the manifest is not a device tree"
    stack, at = [Node()], structure
    while True:
        token, = struct.unpack_from(">I", blob, at)
        at += 4
        if token == 1:      # a node begins
            end = blob.index(b"\0", at)
            node = Node()
            stack[-1].children[blob[at:end].decode()] = node
            stack.append(node)
            at = (end + 4) & ~3
        elif token == 2:    # it ends
            stack.pop()
        elif token == 3:    # a property
            size, name = struct.unpack_from(">2I", blob, at)
            end = blob.index(b"\0", strings + name)
            stack[-1].properties[blob[strings + name:end].decode()] = blob[at + 8:at + 8 + size]
            at = (at + 8 + size + 3) & ~3
        elif token == 9:    # the end
            return stack[0].children[""]


# --- the dump ----------------------------------------------------------------------------------------------------------


class Dump:
    def __init__(self, caps):
        self.caps = caps
        self.at = {(c["container"], c["index"]): c for c in caps}
        self.inside = collections.defaultdict(list)
        self.kind, self.tag, self.names = {}, {}, {}
        for c in caps:
            self.inside[c["container"]].append(c)
            self.tag[c["container"]] = c["domain"]
            self.names[c["domain"]] = c["name"]
            if c["type"] not in ("Untyped", "Frame") and c["object"]:
                self.kind[c["object"]] = c["type"]
        self.lies_in = {c["object"]: c["mapped_in"] for c in caps if c["type"] == "PageTable" and c["mapped_in"]}
        self.containers = {tag: [k for k, t in self.tag.items() if t == tag] for tag in self.names}
        self.held = {tag: self._held(tag) for tag in self.names}

    def torn(self):
        """Capabilities whose parent is not in the dump: it was made while something changed."""
        return [c for c in self.caps if c["parent_container"] and not self.parent(c)]

    def parent(self, cap):
        return self.at.get((cap["parent_container"], cap["parent_index"]))

    def chain(self, cap):
        """The capability and its ancestors."""
        while cap:
            yield cap
            cap = self.parent(cap)

    def reach(self, tag):
        """Object ids of the CNodes that the domain's threads can name: root CNodes, and those that these hold."""
        roots = {c["object"] for k in self.containers[tag] if self.kind.get(k) == "Thread" for c in self.inside[k] if c["index"] == CSPACE}
        return roots | {c["object"] for root in roots for c in self.inside[root] if c["type"] == "CNode"}

    def _held(self, tag):
        used = [k for k in self.containers[tag] if self.kind.get(k) in ("Thread", "Vcpu")]
        return [c for k in sorted(self.reach(tag)) + used for c in self.inside[k]]

    def address_spaces(self):
        """{object id of a top-level page table: tag of whose threads or guest use it}"""
        return {c["object"]: c["domain"] for c in self.caps
                if (self.kind.get(c["container"]) == "Thread" and c["index"] == VSPACE) or (self.kind.get(c["container"]) == "Vcpu" and c["index"] == GUEST_ROOT)}

    def top_table(self, table):
        while table in self.lies_in:
            table = self.lies_in[table]
        return table

    def say(self, cap):
        place = "a slot of its thread" if self.kind.get(cap["container"]) == "Thread" else f"slot {cap['slot']}"
        badge = f", badge {cap['badge']:#x}" if cap["badge"] else ""
        return f"{self.names[cap['domain']]} ({cap['domain']}) holds {cap['type']} {cap['rights']} in {place} (object {cap['object']}{badge})"


def pages(cap):
    return range(cap["object"], cap["object"] + cap["size"] // PAGE)


def overlaps(a, b):
    return a.start < b.stop and b.start < a.stop


# --- the audit ---------------------------------------------------------------------------------------------------------


class Audit:
    def __init__(self, dump, manifest):
        self.dump, self.problems = Dump(dump), []
        self.services = manifest.children["services"].children
        self.templates = manifest.children["templates"].children
        self.by_tag = {node.number("tag"): (name, node) for name, node in self.services.items()}
        self.domains = [tag for tag in self.dump.names if tag != SUPERVISOR]
        self.spawned = [tag for tag in self.domains if tag not in self.by_tag]
        self.chunks = {tag: self._chunks(tag) for tag in self.domains}
        self.owner = {id(chunk): tag for tag in self.domains for chunk in self.chunks[tag]}
        self.endpoints = self._endpoints()
        self.mappings = self._mappings()

    def run(self):
        if self.dump.torn():
            return [f"the dump is torn: {self.dump.say(self.dump.torn()[0])}, whose parent is not in it"]
        self._all_there()
        for tag in self.domains:
            self._own_memory(tag)
            self._cnodes(tag)
            self._capabilities(tag)
            self._foreign_mappings(tag)
        self._shared_memory()
        self._uart()
        self._spawned_stay_private()
        return self.problems

    def wrong(self, sentence):
        self.problems.append(sentence)

    def spec(self, tag):
        if tag in self.by_tag:
            return self.by_tag[tag][1]
        return next(iter(self.templates.values()))  # there is one template; a second would need its name in the dump

    def name(self, tag):
        return self.dump.names[tag]

    def _all_there(self):
        assert len(self.templates) <= 1, "the audit knows one template"
        for tag, (name, _) in self.by_tag.items():
            if tag not in self.dump.names:
                self.wrong(f"{name} (tag {tag}) is in the manifest and holds nothing")

    # --- memory of one's own ---

    def _chunks(self, tag):
        """Untypeds of the supervisor that this domain's root CNode and Untypeds are made of."""
        found = {}
        own = [c for c in self.dump.held[tag] if c["type"] == "Untyped" or (c["type"] == "CNode" and c["object"] == c["container"])]
        for cap in own:
            above = (c for c in self.dump.chain(cap) if c is not cap and c["type"] == "Untyped" and c["domain"] == SUPERVISOR)
            chunk = next(above, None)
            if chunk and not self._is_free_memory(cap):
                found[chunk["container"], chunk["index"]] = chunk
        return list(found.values())

    def _is_free_memory(self, cap):
        """An Untyped in the kept CNode of the domain that the manifest gives the machine's free memory."""
        if cap["domain"] not in self.by_tag or cap["type"] != "Untyped":
            return False
        grants = [g.text("type") for g in self.by_tag[cap["domain"]][1].children.values()]
        return "free-memory" in grants and cap["container"] in self._kept_cnodes(cap["domain"])

    def _kept_cnodes(self, tag):
        """CNodes that the domain reaches and that are not made of its chunk: what "keep-cnode" gives."""
        return {c["object"] for c in self.dump.held[tag] if c["type"] == "CNode" and self.dump.kind.get(c["container"]) == "CNode"
                and not any(a["type"] == "CNode" and a["domain"] == tag and a["object"] != c["object"] for a in self.dump.chain(c))
                and self._made_of(c) not in self._root_memory(tag)}

    def _made_of(self, cap):
        above = next((c for c in self.dump.chain(cap) if c["type"] == "Untyped"), None)
        return above and (above["container"], above["index"])

    def _root_memory(self, tag):
        """Where the domain's root CNode is made of."""
        return {self._made_of(c) for c in self.dump.held[tag] if c["type"] == "CNode" and c["object"] == c["container"]}

    def made_of_chunk_of(self, cap):
        """The domain whose memory this is, or None."""
        return next((self.owner[id(c)] for c in self.dump.chain(cap) if id(c) in self.owner), None)

    def _own_memory(self, tag):
        chunks = self.chunks[tag]
        if not chunks:
            return self.wrong(f"{self.name(tag)} ({tag}) has no memory of its own")
        for other in self.domains:
            for chunk in chunks:
                if other < tag and any(overlaps(pages(chunk), pages(theirs)) for theirs in self.chunks[other]):
                    self.wrong(f"{self.name(tag)} and {self.name(other)} are made of the same memory (Untyped {chunk['object']})")
        if tag in self.by_tag:
            size = 1 << (self.spec(tag).number("memory-kib") * 1024 - 1).bit_length()
            if [c["size"] for c in chunks] != [size]:
                self.wrong(f"{self.name(tag)} has chunks of {[c['size'] for c in chunks]} bytes; the manifest gives it {size}")
        else:
            for chunk in chunks:
                if not any(self._is_free_memory(c) for c in self.dump.chain(chunk)):
                    self.wrong(f"{self.name(tag)} has a chunk that is not of the free memory (Untyped {chunk['object']})")

    def _cnodes(self, tag):
        """Nobody but a domain and the supervisor can name a CNode of it."""
        for cnode in self.dump.reach(tag):
            if self.dump.tag.get(cnode, tag) != tag:
                self.wrong(f"{self.name(tag)} ({tag}) reaches a CNode of {self.name(self.dump.tag[cnode])}")
            for other in self.domains:
                if other < tag and cnode in self.dump.reach(other):
                    self.wrong(f"{self.name(tag)} and {self.name(other)} both reach CNode {cnode}")

    # --- capabilities ---

    def _endpoints(self):
        """{name that a service accepts: its endpoint's object id}: the one Endpoint that the service can receive on and did not make."""
        return {node.text("accepts"): c["object"] for tag, (_, node) in self.by_tag.items() if node.text("accepts") and tag in self.dump.held
                for c in self.dump.held[tag] if c["type"] == "Endpoint" and "r" in c["rights"] and self.made_of_chunk_of(c) is None}

    def connected(self, a, b):
        """Does the manifest declare a channel between these two domains?"""
        return any(target.partition(":")[0] == self.spec(server).text("accepts") and self.spec(server).text("accepts")
                   for client, server in ((a, b), (b, a)) if server in self.by_tag for target in self.spec(client).texts("connects")) \
            or any(self.spawns(a if s == b else b) and self.spec(s).text("accepts") for s in (a, b) if s in self.spawned)

    def spawns(self, tag):
        return tag in self.by_tag and any(g.text("type") == "spawn" for g in self.spec(tag).children.values())

    def expected(self, tag):
        """[(what, test of a capability)]: besides its own memory and channels, each once."""
        def cap(kind, rights, **fields):
            return lambda c: c["type"] == kind and c["rights"] == rights and all(c[k] == v for k, v in fields.items())
        spec = self.spec(tag)
        yield "the log, to append", cap("Log", "w")
        yield "KernelInfo, to read", lambda c: c["type"] == "Frame" and c["rights"] == "r" and c["size"] == PAGE and self.dump.names[self._root_of(c)["domain"]] == "supervisor"
        if tag in self.by_tag and spec.text("accepts"):
            yield f"accept-{spec.text('accepts')}", cap("Endpoint", "rg", badge=0, object=self.endpoints.get(spec.text("accepts")))
        for target in spec.texts("connects"):
            service, _, role = target.partition(":")
            yield f"connect-{service}", cap("Endpoint", "wg", badge=tag | (CONTROL_ROLE if role == "control" else 0), object=self.endpoints.get(service))
        for which, rights in (("fault", "wcd"), ("exit", "wd")):
            yield which, lambda c, rights=rights: c["type"] == "Endpoint" and c["rights"] == rights and c["badge"] >> 32 == FROM_DOMAIN >> 32 and c["object"] not in self.endpoints.values()
        for name, grant in (spec.children if tag in self.by_tag else {}).items():
            test = self._granted(grant, cap)
            if test:
                yield name, test

    @staticmethod
    def _granted(grant, cap):
        kind = grant.text("type")
        if kind == "ports":
            return cap("IoPort", ALL, badge=grant.number("first") | grant.number("count") << 16)
        if kind in Q35_PORTS:
            first, count = Q35_PORTS[kind]
            return cap("IoPort", ALL, badge=first | count << 16)
        return {"isa-irq": lambda: cap("IrqHandler", ALL, badge=grant.number("irq")),
                # com1, as on a machine whose options say nothing else
                "serial-ports": lambda: cap("IoPort", ALL, badge=UART_PORTS.start | len(UART_PORTS) << 16),
                "serial-irq": lambda: cap("IrqHandler", ALL, badge=UART_IRQ),
                "acpi-reset": lambda: cap("IoPort", ALL, badge=0xcf9 | 1 << 16),
                "acpi-sci": lambda: cap("IrqHandler", ALL, badge=Q35_SCI),
                "log": lambda: cap("Log", "rwc"), "inspect": lambda: cap("Inspect", ALL), "spawn": lambda: cap("Endpoint", "wg", badge=FROM_SPAWNER),
                "keep-cnode": lambda: cap("CNode", ALL, size=64 << grant.number("bits", 0)),
                "keep": lambda: None, "bootfs": lambda: None, "free-memory": lambda: None,
                "boot-info": lambda: None, "acpi-hpet": lambda: None, "framebuffer": lambda: None}[kind]()

    def _root_of(self, cap):
        return list(self.dump.chain(cap))[-1]

    def _capabilities(self, tag):
        """Every capability that the domain holds finds its reason; every reason of the manifest finds its capability."""
        wanted, channels = list(self.expected(tag)), collections.Counter()
        for cap in self.dump.held[tag]:
            owner = self.made_of_chunk_of(cap)
            if self.dump.kind.get(cap["container"]) in ("Thread", "Vcpu"):
                if not self._copied_from_within(cap, tag):
                    self.wrong(f"{self.dump.say(cap)}, which is not a copy of anything of its own")
            elif owner == tag or self._is_free_memory(cap):
                if cap["type"] == "SchedContext" and "w" in cap["rights"]:
                    self.wrong(f"{self.dump.say(cap)}, and could configure its own time")
            elif owner is not None:
                self._foreign(tag, owner, cap, channels)
            else:
                reason = next((w for w in wanted if w[1](cap)), None)
                wanted.remove(reason) if reason else self.wrong(f"{self.dump.say(cap)}, and nothing declares it")
        for what, _ in wanted:
            if tag not in self.by_tag or self.spec(tag).children.get(what, Node()).text("type") not in OPTIONAL:
                self.wrong(f"{self.name(tag)} ({tag}) lacks what the manifest gives it: {what}")

    def _copied_from_within(self, cap, tag):
        parent = self.dump.parent(cap)
        return parent and (parent["domain"] == tag or self.made_of_chunk_of(parent) == tag)

    def _foreign(self, tag, owner, cap, channels):
        """Something made of another domain's memory."""
        if self.spawns(tag) and owner in self.spawned and (cap["type"] == "SchedContext" or (cap["type"] == "Endpoint" and cap["rights"] == "wgd"[:len(cap["rights"])])):
            return
        if not self.connected(tag, owner):
            return self.wrong(f"{self.dump.say(cap)} of {self.name(owner)}, with which it has no channel")
        channels[owner, cap["type"]] += 1
        fits = {"Frame": "w" not in cap["rights"] and cap["size"] <= 64 << 10, "Notification": "r" not in cap["rights"]}.get(cap["type"], False)
        if not fits or channels[owner, cap["type"]] > {"Frame": 1, "Notification": 2}[cap["type"]]:
            self.wrong(f"{self.dump.say(cap)} of {self.name(owner)}, which is not an end of their channel")

    # --- memory ---

    def _foreign_mappings(self, tag):
        """What is mapped and not made of a domain's memory: boot modules and KernelInfo, to read, and what the manifest lets it keep."""
        kept = device = 0
        for _, writable, cap in self.mappings[tag]:
            if not cap["mapped"] or self.made_of_chunk_of(cap) is not None:
                continue
            if writable and cap["device"]:
                device += cap["size"]
            elif writable:
                kept += cap["size"]
            elif not cap["device"] and cap["size"] != PAGE:
                self.wrong(f"{self.name(tag)} ({tag}) can read {cap['size']} bytes from page {cap['object']} on, and nothing declares it")
        granted = [g for g in self.spec(tag).children.values() if g.text("type") == "keep"]
        allowed = sum(DEVICE_BYTES.get(g.text("type"), 0) for g in self.spec(tag).children.values())
        if device > allowed:
            self.wrong(f"{self.name(tag)} ({tag}) can write {device} bytes of devices or boot modules; the manifest grants it {allowed} at most")
        wanted = sum((g.number("kib") * 1024 + PAGE - 1) // PAGE * PAGE for g in granted)
        if kept != wanted:
            self.wrong(f"{self.name(tag)} ({tag}) can write {kept} bytes that are not its own memory; the manifest lets it keep {wanted}")

    def _mappings(self):
        """{tag: [(pages, writable, capability)]} of what each domain's threads and guest can reach, and of what it could map."""
        spaces, found = self.dump.address_spaces(), collections.defaultdict(list)
        for cap in self.dump.caps:
            if cap["type"] == "Frame" and cap["mapped"]:
                tag = spaces.get(self.dump.top_table(cap["mapped_in"]))
                if tag is not None:
                    found[tag].append((pages(cap), "w" in cap["mapped"], cap))
        for tag in self.domains:
            found[tag] += [(pages(c), "w" in c["rights"], c) for c in self.dump.held[tag] if c["type"] == "Frame"]
        return found

    def _shared_memory(self):
        """What one can write and another can see is a channel's region: one that its reader cannot write."""
        everything = sorted(((p.start, p.stop, tag, writable, cap) for tag, some in self.mappings.items() for p, writable, cap in some), key=lambda e: e[:4])
        open_, told = [], set()
        for start, stop, tag, writable, cap in everything:
            open_ = [o for o in open_ if o[1] > start]
            for _, _, other, other_writes, other_cap in open_:
                if other == tag or not (writable or other_writes) or (tag, other) in told:
                    continue
                if writable and other_writes:
                    told.add((tag, other))
                    self.wrong(f"{self.name(tag)} and {self.name(other)} can both write page {start}")
                    continue
                reader_cap, owner, reader = (other_cap, tag, other) if writable else (cap, other, tag)
                granted = self.made_of_chunk_of(reader_cap) == owner and reader_cap in self.dump.held[reader]
                if reader == SUPERVISOR or not (granted and self.connected(owner, reader)):
                    told.add((tag, other))
                    self.wrong(f"{self.name(reader)} can read page {start}, which {self.name(owner)} writes, and which is not their channel's")
            open_.append((start, stop, tag, writable, cap))

    # --- who must hold what alone ---

    def _uart(self):
        console = next((tag for tag, (name, _) in self.by_tag.items() if name == "console"), None)
        for tag in self.domains:
            for cap in self.dump.held[tag]:
                ports = range(cap["badge"] & 0xffff, (cap["badge"] & 0xffff) + (cap["badge"] >> 16))
                if tag != console and ((cap["type"] == "IoPort" and overlaps(ports, UART_PORTS)) or (cap["type"] == "IrqHandler" and cap["badge"] == UART_IRQ)):
                    self.wrong(f"{self.dump.say(cap)}: the UART is console's alone")

    def _spawned_stay_private(self):
        for tag in (t for t in self.domains if self.spawns(t)):
            for cap in self.dump.held[tag]:
                owner = self.made_of_chunk_of(cap)
                if owner in self.spawned and cap["type"] in ("CNode", "Thread", "PageTable", "Vcpu", "Untyped"):
                    self.wrong(f"{self.dump.say(cap)} of the spawned {self.name(owner)}")
                if owner in self.spawned and cap["type"] == "Frame" and "w" in cap["rights"]:
                    self.wrong(f"{self.dump.say(cap)} of the spawned {self.name(owner)}, and can write it")


def audit(dump, manifest):
    return Audit(dump, manifest).run()
