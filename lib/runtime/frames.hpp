// SPDX-License-Identifier: Apache-2.0
// Physical memory of the program: *chunks* (Frames of up to 2 MiB, retyped from the domain's Untypeds, never
// mapped themselves) and *granules* (narrower children minted from a chunk, one capability and one mapping
// each, 4 KiB to 1 MiB). Freeing a granule deletes that child, and the chunk's pages are free again; the
// books are bitmaps, so nothing fragments for good. Pages that were used before are dirty: whoever takes them
// zeroes them. Under State::memory_lock.
#pragma once

#include "lib/runtime/state.hpp"

namespace bulkhead::runtime {

// Where a granule's memory is. `order` is log2 of its pages.
struct Granule {
    CapAddr slot;  // the minted child
    uint16_t chunk;
    uint16_t page;  // within the chunk
    uint8_t order;
};

// 2^order naturally aligned pages. `dirty` says that they must be zeroed. False: no memory or no slot.
bool take_granule(unsigned order, Granule& out, bool& dirty);
void give_granule(const Granule& granule);

// The same pages by a new child: for splitting a granule without giving its pages back.
bool mint_granule(Granule& granule);  // fills `slot`
void delete_granule_cap(const Granule& granule);

struct FrameUse {
    uint64_t committed, held, slots_used, slots;
};
FrameUse frame_use();

}  // namespace bulkhead::runtime
