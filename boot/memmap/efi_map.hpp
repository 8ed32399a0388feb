// SPDX-License-Identifier: Apache-2.0
// A UEFI memory map (GetMemoryMap, UEFI 2.10, 7.2.3) as claims of a MemoryMap. Boot services are over, so
// their memory is free; the loader's own is Boot: what of it must last is claimed again with its own type.
#pragma once

#include "boot/memmap/memory_map.hpp"

namespace bulkhead::boot {

// `each` is the firmware's descriptor size. False: damaged, or no room.
bool add_efi_map(MemoryMap& map, const uint8_t* descriptors, uint64_t bytes, uint64_t each);

}  // namespace bulkhead::boot
