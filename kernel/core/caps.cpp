// SPDX-License-Identifier: Apache-2.0
// The calls on capabilities themselves. Each decodes and validates everything first; what follows cannot
// fail.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

struct Derivation {
    Slot* to;
    Slot* from;
};

// What copy, mint and the narrowing mints have in common. Result in `out`.
Status decode_derivation(const Thread& t, const UserContext& u, Derivation& out) {
    const auto from = lookup_any(t, CapAddr{u.rsi});
    if (!from) return from.status();
    const auto to = lookup_empty(t, CapAddr{u.rdi});
    if (!to) return to.status();
    if (from->type == ObjectType::Untyped) return Status::WrongType;  // has exactly one capability
    if ((from->rights & rights::kDerive) == 0) return Status::NoRights;
    if (is_revoking(**from)) return Status::Revoking;
    out = {*to, *from};
    return Status::Ok;
}

// Narrower rights; kTombstone may be added by whoever can signal anyway.
void derive(const Derivation& d, uint64_t wanted) {
    const uint8_t mask = static_cast<uint8_t>(wanted);
    Slot& made = cap_derive(*d.to, *d.from, mask);
    const bool tombstone = (mask & rights::kTombstone) != 0 && made.type == ObjectType::Notification &&
                           (d.from->rights & rights::kWrite) != 0;
    if (tombstone) made.rights |= rights::kTombstone;
}

}  // namespace

Status sys_cap_copy(Cpu&, Thread& t, UserContext& u) {
    Derivation d;
    if (const Status status = decode_derivation(t, u, d); status != Status::Ok) return status;
    derive(d, u.rdx);
    return Status::Ok;
}

// A badge is an identity: once set it stays.
Status sys_cap_mint(Cpu&, Thread& t, UserContext& u) {
    Derivation d;
    if (const Status status = decode_derivation(t, u, d); status != Status::Ok) return status;
    const ObjectType type = d.from->type;
    if (type != ObjectType::Endpoint && type != ObjectType::Notification &&
        type != ObjectType::SchedControl && type != ObjectType::Log)
        return Status::WrongType;
    if (d.from->badge != 0 && u.r10 != 0 && u.r10 != d.from->badge) return Status::NoRights;
    derive(d, u.rdx);
    if (u.r10 != 0) d.to->badge = u.r10;
    return Status::Ok;
}

Status sys_cap_move(Cpu&, Thread& t, UserContext& u) {
    const auto from = lookup_any(t, CapAddr{u.rsi});
    if (!from) return from.status();
    const auto to = lookup_empty(t, CapAddr{u.rdi});
    if (!to) return to.status();
    if ((from->flags & kSlotRevoking) != 0) return Status::Revoking;
    return cap_move(**to, **from) ? Status::Ok : Status::Busy;
}

Status sys_cap_delete(Cpu&, Thread& t, UserContext& u) {
    Slot* slot = find_slot(t, CapAddr{u.rdi});
    if (slot == nullptr || slot->empty()) return Status::NoCapability;
    // The memory of an Untyped without a parent could never be used again.
    if (slot->type == ObjectType::Untyped && slot->parent == nullptr && slot->first_child != nullptr)
        return Status::HasChildren;
    return cap_delete(*slot);
}

Status sys_cap_revoke(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup_any(t, CapAddr{u.rdi});
    if (!slot) return slot.status();
    return cap_revoke(**slot);
}

Status sys_cap_identify(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_any(t, CapAddr{u.rdi});
    if (!found) return found.status();
    const Slot& s = **found;
    const Object* object = object_of(s);
    const bool memory = s.type == ObjectType::Untyped || s.type == ObjectType::Frame;
    const bool mapped = s.type != ObjectType::Untyped && s.mapping != 0;
    u.rdx = static_cast<uint64_t>(s.type) | (uint64_t{s.rights} << 8) | (uint64_t{s.size_bits} << 16) |
            (mapped ? uint64_t{1} << 24 : 0);
    u.r10 = s.type == ObjectType::Untyped ? 0 : s.type == ObjectType::IoPort ? s.object : s.badge;
    u.r8 = object != nullptr ? object->id : memory ? opaque_page(s.object) : 0;
    return Status::Ok;
}

Status sys_frame_mint(Cpu&, Thread& t, UserContext& u) {
    Derivation d;
    if (const Status status = decode_derivation(t, u, d); status != Status::Ok) return status;
    if (d.from->type != ObjectType::Frame) return Status::WrongType;
    const uint64_t offset = u.r10, size_bits = u.r8;
    if (size_bits < abi::kPageBits || size_bits > d.from->size_bits) return Status::BadArgument;
    if (size_bits > abi::kLargePageBits && size_bits != abi::kHugePageBits) return Status::BadArgument;
    const uint64_t bytes = uint64_t{1} << size_bits, whole = uint64_t{1} << d.from->size_bits;
    if ((offset & (bytes - 1)) != 0 || offset >= whole) return Status::BadArgument;
    derive(d, u.rdx);
    d.to->object += offset;
    d.to->size_bits = static_cast<uint8_t>(size_bits);
    return Status::Ok;
}

Status sys_ioport_mint(Cpu&, Thread& t, UserContext& u) {
    Derivation d;
    if (const Status status = decode_derivation(t, u, d); status != Status::Ok) return status;
    if (d.from->type != ObjectType::IoPort) return Status::WrongType;
    const uint64_t from_first = d.from->object & 0xffff, from_count = d.from->object >> 16;
    if (u.rdx < from_first || u.r10 == 0 || u.r10 > from_count || u.rdx - from_first > from_count - u.r10)
        return Status::BadArgument;
    derive(d, rights::kAll);
    d.to->object = u.rdx | (u.r10 << 16);
    return Status::Ok;
}

Status sys_tag_set(Cpu&, Thread& t, UserContext& u) {
    const auto control = lookup(t, CapAddr{u.rdi}, ObjectType::TagControl, rights::kControl);
    if (!control) return control.status();
    const auto slot = lookup_any(t, CapAddr{u.rsi});
    if (!slot) return slot.status();
    switch (slot->type) {
        case ObjectType::CNode:
        case ObjectType::Thread:
        case ObjectType::SchedContext:
        case ObjectType::Vcpu: object_of(**slot)->tag = u.rdx; return Status::Ok;
        default: return Status::WrongType;
    }
}

}  // namespace bulkhead::core
