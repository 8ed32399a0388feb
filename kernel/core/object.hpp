// SPDX-License-Identifier: Apache-2.0
// What every kernel object starts with, and the capability slot that names objects.
//
// Ownership: an object lives as long as at least one slot names it (Object::refs). All slots that name an
// object descend, in the derivation tree, from the Untyped that its memory came from; so an Untyped without
// children has no live object in it. Concurrency: everything here is protected by the kernel lock.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::core {

using abi::ObjectType;

// 64 bytes; Endpoint, Reply, … follow it with their own members.
struct Object {
    uint32_t refs;
    ObjectType type;
    uint8_t size_bits;  // CNode: log2 of its slots
    uint8_t dying;      // destruction has begun; no new capability can be made
    uint8_t spare;
    uint64_t id;   // never reused
    uint64_t tag;  // domain tag: CNode, Thread, SchedContext, Vcpu
    Object* next;  // containers (CNode, Thread, Vcpu, Irq): list ascending by id, for Inspect; dying ones:
                   // list of `pending`
    Object* previous;
    Object* pending;  // dying containers that were found inside this dying one: destroyed before it (see
                      // destroy.cpp)
    uint64_t cursor;  // progress of the destruction
    uint64_t unused;
};
static_assert(sizeof(Object) == 64);

enum SlotFlags : uint8_t {
    kSlotRevoking = 1,  // a revoke of this slot is in progress
    kSlotZombie =
        2,  // the last capability of an object whose destruction is in progress: can only be deleted further
    kSlotDevice = 4,                        // Untyped, Frame: device memory or a module, never zeroed
    kSlotMapWrite = 8,                      // mapped writable
    kSlotMapExec = 16,                      // mapped executable
    kSlotDoomed = 32,                       // its deletion has begun
    kSlotGone = kSlotZombie | kSlotDoomed,  // no lookup finds it
};

// Where a slot lies; `index` and `kind` find the container's Object from the slot's own address.
enum class SlotHome : uint8_t { CNode = 0, Thread = 1, Vcpu = 2, Irq = 3, Tomb = 4 };

struct Slot {
    uint64_t object;  // address of the Object; Untyped, Frame: physical base; IoPort: first | count << 16
    uint64_t badge;   // Endpoint, Notification, SchedControl: badge; Untyped: watermark (bytes used)
    Slot* parent;     // derivation tree: children lists are doubly linked
    Slot* first_child;
    Slot* next;
    Slot* previous;
    ObjectType type;
    uint8_t rights;
    uint8_t flags;      // SlotFlags
    uint8_t size_bits;  // Untyped, Frame, CNode
    uint32_t home;      // index << 8 | SlotHome; kept while the slot is empty
    uint64_t mapping;  // Frame: physical address of the PageTable that maps it | index of its first entry; 0:
                       // not mapped Untyped: bytes [badge, mapping) are known to be zero

    // type, rights, flags, size_bits in one load, lowest byte first
    uint32_t kind_word() const {
        uint32_t word;
        __builtin_memcpy(&word, &type, sizeof word);
        return word;
    }
    bool empty() const { return type == ObjectType::Null; }
    bool device() const { return (flags & kSlotDevice) != 0; }
    uint32_t index() const { return home >> 8; }
    SlotHome home_kind() const { return static_cast<SlotHome>(home & 0xff); }
    template <typename T>
    T* as() const {
        return reinterpret_cast<T*>(object);
    }
};
static_assert(sizeof(Slot) == 64);
static_assert(__builtin_offsetof(Slot, rights) == __builtin_offsetof(Slot, type) + 1 &&
              __builtin_offsetof(Slot, flags) == __builtin_offsetof(Slot, type) + 2);

// A table of slots. `tomb` (every container has one) takes the last capability when the slot that held it
// must go first.
struct CNode {
    Object header;
    Slot tomb;
    Slot slot[];
};
static_assert(sizeof(CNode) == 128);

// The Object of a type that has one (nullptr for Untyped, Frame and the static types).
Object* object_of(const Slot&);
// The object that contains this slot (the interrupt table is a container, too).
Object* container_of(const Slot&);

}  // namespace bulkhead::core
