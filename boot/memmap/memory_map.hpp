// SPDX-License-Identifier: Apache-2.0
// Turns what firmware says about memory - overlapping, unaligned, unordered - into what the kernel relies on:
// ranges that are sorted, disjoint, page-aligned and merged. Where claims overlap the more cautious type wins
// (see caution()); a page that is Free in part is Reserved: it is neither memory nor a hole where a device
// could be. No allocation; used by the kernel's boot code and the UEFI loader.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/bootinfo.hpp"

namespace bulkhead::boot {

class MemoryMap {
  public:
    static constexpr size_t kCapacity = 1536;  // claims; big servers' firmware makes hundreds

    // False: there was no room; the map is then unusable (a forgotten reservation must not become free
    // memory).
    bool add(uint64_t base, uint64_t size, abi::MemoryType type);

    // Writes at most `capacity` ranges, returns their number, or 0 when they do not fit.
    size_t normalise(abi::MemoryRange* out, size_t capacity) const;

  private:
    bool claim(uint64_t first, uint64_t last, abi::MemoryType type);

    abi::MemoryRange claim_[kCapacity];
    size_t claims_ = 0;
};

// Higher wins.
unsigned caution(abi::MemoryType type);

}  // namespace bulkhead::boot
