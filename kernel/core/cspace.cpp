// SPDX-License-Identifier: Apache-2.0
// From a capability address to a slot. The tree has depth two (see abi/types.hpp), so this is two bounds
// checks.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

Slot no_cspace[1];

Slot* find_slot(const Thread& t, CapAddr address) {
    if (address.is_null()) return nullptr;
    const uint64_t slot = address.slot();
    const uint64_t cnode = address.cnode();
    if (cnode == 0) return slot <= t.cspace_mask ? &t.cspace[slot] : nullptr;
    if (cnode > t.cspace_mask) return nullptr;
    const Slot& table = t.cspace[cnode];
    if (table.type != ObjectType::CNode || (table.rights & rights::kControl) == 0 ||
        (table.flags & kSlotGone) != 0)
        return nullptr;
    CNode& node = *table.as<CNode>();
    return slot >> node.header.size_bits == 0 ? &node.slot[slot] : nullptr;
}

Result<Slot*> lookup_any(const Thread& t, CapAddr address) {
    Slot* slot = find_slot(t, address);
    if (slot == nullptr || slot->empty() || (slot->flags & kSlotGone) != 0) return Status::NoCapability;
    return slot;
}

Result<Slot*> lookup_slow(const Thread& t, CapAddr address, ObjectType type, uint8_t need) {
    Slot* slot = find_slot(t, address);
    if (slot == nullptr || slot->empty() || (slot->flags & kSlotGone) != 0) return Status::NoCapability;
    if (slot->type != type) return Status::WrongType;
    if ((slot->rights & need) != need) return Status::NoRights;
    return slot;
}

Result<Slot*> lookup_empty(const Thread& t, CapAddr address) {
    Slot* slot = find_slot(t, address);
    if (slot == nullptr) return Status::NoCapability;
    if (!slot->empty()) return Status::SlotOccupied;
    slot->home = (address.slot() << 8) | static_cast<uint32_t>(SlotHome::CNode);
    return slot;
}

}  // namespace bulkhead::core
