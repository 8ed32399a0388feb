// SPDX-License-Identifier: Apache-2.0
// Puts a parsed image into an address space under construction.
#pragma once

#include "abi/start.hpp"
#include "toolstack/supervisor/address_space.hpp"
#include "toolstack/supervisor/image.hpp"

namespace bulkhead::supervisor {

// Slots for the frames of the image's first writable pages, which the domain itself may remap (RELRO).
struct PageSlots {
    cap::CapAddr first;
    uint32_t count;
};

// Read-only segments are mapped straight from the boot module that holds the file at `file_offset`; writable
// ones are new memory with the file's bytes in it. With `slots`, the first pages of the first writable
// segment go there, and `info` says where they are.
Outcome load_image(AddressSpace& space, const Image& image, const BootFrames& frames, uint64_t file_offset,
                   uint64_t base, const PageSlots* slots, abi::StartInfo* info);

}  // namespace bulkhead::supervisor
