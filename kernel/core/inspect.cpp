// SPDX-License-Identifier: Apache-2.0
// Lists every capability of the machine, without addresses: objects by id, memory by page numbers that are
// shifted by a secret.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

using abi::CapEntry;

constexpr unsigned kSlotsPerCall = 4096;  // looked at; empty ones are not listed

CapEntry describe(const Object& container, const Slot& s, uint32_t index) {
    CapEntry e{};
    e.domain_tag = container.tag;
    e.container = container.id;
    e.slot = index;
    e.type = static_cast<uint8_t>(s.type);
    e.rights = s.rights;
    e.size_bits = s.size_bits;
    const bool mapped = s.type != ObjectType::Untyped && s.mapping != 0;
    e.flags = static_cast<uint8_t>(
        (mapped ? 1 : 0) | (s.device() ? 2 : 0) | ((s.flags & kSlotMapWrite) != 0 ? 4 : 0) |
        ((s.flags & kSlotMapExec) != 0 ? 8 : 0) | (container.type == ObjectType::CNode ? 16 : 0));
    if (const Object* object = object_of(s); object != nullptr) {
        e.object = object->id;
        e.badge = s.badge;
        if (s.type == ObjectType::PageTable) {
            const PageTable& table = *s.as<PageTable>();
            e.badge = abi::table_size_arg(table.kind, table.level);
        }
    } else if (s.type == ObjectType::Untyped || s.type == ObjectType::Frame) {
        e.object = opaque_page(s.object);
    } else {
        e.badge = s.type == ObjectType::IoPort ? s.object : s.badge;
    }
    if (mapped) e.mapped_in = table_that_maps(s).header.id;
    if (s.parent != nullptr) {
        e.parent_container = container_of(*s.parent)->id;
        e.parent_slot = s.parent->index();
    }
    return e;
}

}  // namespace

// Cursor: container id and slot to continue with. A list that changes meanwhile shows in the epoch.
Status sys_inspect_caps(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Inspect, rights::kRead);
    if (!slot) return slot.status();
    if (t.buffer == nullptr) return Status::NotReady;
    uint64_t first = u.rdx;
    Object* container = sys.containers;
    while (container != nullptr && container->id < u.rsi) container = container->next;
    if (container == nullptr || container->id != u.rsi) first = 0;
    unsigned entries = 0, looked_at = 0;
    for (; container != nullptr; container = container->next, first = 0) {
        uint64_t count = 0;
        const Slot* slots = container_slots(*container, &count);
        for (; first < count && entries < abi::kCapEntriesPerCall && looked_at < kSlotsPerCall;
             ++first, ++looked_at) {
            if (slots[first].empty()) continue;
            const CapEntry e = describe(*container, slots[first], static_cast<uint32_t>(first));
            __builtin_memcpy(t.buffer->data + entries * sizeof e, &e, sizeof e);
            ++entries;
        }
        if (first < count) break;
    }
    u.rdx = entries;
    u.r10 = container != nullptr ? container->id : 0;
    u.r8 = container != nullptr ? first : 0;
    u.r9 = sys.epoch;
    return Status::Ok;
}

Status sys_inspect_counts(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Inspect, rights::kRead);
    if (!slot) return slot.status();
    if (t.buffer == nullptr) return Status::NotReady;
    static_assert(sizeof sys.count + sizeof sys.bytes <= sizeof t.buffer->data);
    __builtin_memcpy(t.buffer->data, sys.count, sizeof sys.count);
    __builtin_memcpy(t.buffer->data + sizeof sys.count, sys.bytes, sizeof sys.bytes);
    return Status::Ok;
}

Status sys_debug_counters(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Inspect, rights::kRead);
    if (!slot) return slot.status();
    const arch::Counters c = arch::counters(u.rsi != 0);
    u.rdx = c.cr3;
    u.r10 = c.wrmsr;
    u.r8 = c.ipi;
    u.r9 = c.tlb;
    return Status::Ok;
}

}  // namespace bulkhead::core
