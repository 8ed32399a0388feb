// SPDX-License-Identifier: Apache-2.0
// The derivation tree. It is exact: a capability's parent is the one that it was made from; when that goes,
// the parent's parent.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

System sys;

namespace {
// A chain of derivations longer than this is treated as being revoked (only while some revoke is in
// progress).
constexpr unsigned kMaxWalk = 4096;
constexpr unsigned kMaxMovedChildren = 4096;
}  // namespace

Object* object_of(const Slot& slot) {
    switch (slot.type) {
        case ObjectType::CNode:
        case ObjectType::PageTable:
        case ObjectType::Thread:
        case ObjectType::SchedContext:
        case ObjectType::Endpoint:
        case ObjectType::Reply:
        case ObjectType::Notification:
        case ObjectType::Vcpu:
        case ObjectType::IrqHandler: return slot.as<Object>();
        default: return nullptr;
    }
}

Object* container_of(const Slot& slot) {
    const uint64_t first = reinterpret_cast<uint64_t>(&slot) - uint64_t{slot.index()} * sizeof(Slot);
    switch (slot.home_kind()) {
        case SlotHome::CNode: return reinterpret_cast<Object*>(first - offsetof(CNode, slot));
        case SlotHome::Thread:
            return reinterpret_cast<Object*>(first - __builtin_offsetof(Thread, slot) +
                                             __builtin_offsetof(Thread, header));
        case SlotHome::Vcpu: return reinterpret_cast<Object*>(first - __builtin_offsetof(Vcpu, slot));
        case SlotHome::Irq: return reinterpret_cast<Object*>(first - __builtin_offsetof(Irq, slot));
        case SlotHome::Tomb: return object_of(slot);
    }
    return nullptr;
}

bool is_revoking(const Slot& slot) {
    if (sys.revokes == 0) return false;
    unsigned walked = 0;
    for (const Slot* s = &slot; s != nullptr; s = s->parent) {
        if ((s->flags & kSlotRevoking) != 0 || ++walked == kMaxWalk) return true;
    }
    return false;
}

void tree_link(Slot& child, Slot* parent) {
    child.parent = parent;
    child.previous = nullptr;
    child.next = nullptr;
    if (parent == nullptr) return;
    child.next = parent->first_child;
    if (child.next != nullptr) child.next->previous = &child;
    parent->first_child = &child;
}

void tree_unlink(Slot& slot) {
    Slot* parent = slot.parent;
    if (slot.next != nullptr) slot.next->previous = slot.previous;
    if (slot.previous != nullptr) {
        slot.previous->next = slot.next;
    } else if (parent != nullptr) {
        parent->first_child = slot.next;
        if (slot.next == nullptr && parent->type == ObjectType::Untyped) {
            parent->badge = 0;  // no object of it is left: all of it is free again
            parent->mapping = 0;
        }
    }
    slot.parent = slot.next = slot.previous = nullptr;
}

void cap_clear(Slot& slot) {
    const uint32_t home = slot.home;
    slot = Slot{};
    slot.home = home;
    ++sys.epoch;
}

Slot& cap_create(Slot& to, Slot* parent, ObjectType type, Object* object) {
    to.object = reinterpret_cast<uint64_t>(object);
    to.type = type;
    to.rights = rights::kAll;
    to.flags = 0;
    to.size_bits = 0;
    to.badge = to.mapping = 0;
    to.first_child = nullptr;
    tree_link(to, parent);
    if (object != nullptr) {
        ++object->refs;
    } else {
        ++sys.count[static_cast<size_t>(type)];
    }
    ++sys.epoch;
    return to;
}

Slot& cap_derive(Slot& to, Slot& from, uint8_t rights_mask) {
    cap_create(to, &from, from.type, object_of(from));
    to.object = from.object;
    to.badge = from.badge;
    to.rights = from.rights & rights_mask;
    to.flags = from.flags & kSlotDevice;
    to.size_bits = from.size_bits;
    return to;
}

bool cap_move(Slot& to, Slot& from) {
    unsigned children = 0;
    for (Slot* c = from.first_child; c != nullptr; c = c->next) {
        if (++children > kMaxMovedChildren) return false;
    }
    const uint32_t home = to.home;
    to = from;
    to.home = home;
    for (Slot* c = to.first_child; c != nullptr; c = c->next) c->parent = &to;
    if (to.next != nullptr) to.next->previous = &to;
    if (to.previous != nullptr) {
        to.previous->next = &to;
    } else if (to.parent != nullptr) {
        to.parent->first_child = &to;
    }
    if (to.mapping != 0 && to.type != ObjectType::Untyped) mapping_moved(to);
    cap_clear(from);
    return true;
}

uint64_t opaque_page(uint64_t physical) {
    return (physical >> abi::kPageBits) + sys.secret;
}

void object_init(Object& object, ObjectType type, uint64_t bytes, uint64_t tag) {
    object.type = type;
    object.id = ++sys.last_id;
    object.tag = tag;
    ++sys.count[static_cast<size_t>(type)];
    sys.bytes[static_cast<size_t>(type)] += bytes;
}

void object_gone(Object& object, uint64_t bytes) {
    --sys.count[static_cast<size_t>(object.type)];
    sys.bytes[static_cast<size_t>(object.type)] -= bytes;
}

void container_list_add(Object& object) {
    object.next = nullptr;
    object.previous = sys.last_container;
    (sys.last_container != nullptr ? sys.last_container->next : sys.containers) = &object;
    sys.last_container = &object;
}

void container_list_remove(Object& object) {
    (object.previous != nullptr ? object.previous->next : sys.containers) = object.next;
    (object.next != nullptr ? object.next->previous : sys.last_container) = object.previous;
    object.next = object.previous = nullptr;
}

}  // namespace bulkhead::core
