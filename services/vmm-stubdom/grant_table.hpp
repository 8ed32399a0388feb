// SPDX-License-Identifier: Apache-2.0
// The guest's grant table, version 1: frames that the guest fills with entries, and that its own VMM alone
// reads, on behalf of the devices which end in the VMM. An entry is used by one compare-and-swap on its flags
// (xen/grant_table.h, "Reading / writing"), after which its frame number can no longer change under us.
//
// Threads: frames are set under the VM's lock; acquire and release may run on the I/O thread at the same time
// (the frame pointers are atomics and never go away while the VM lives).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "services/vmm-stubdom/memory/guest_address.hpp"

namespace bulkhead::vmm {

class GrantTable {
  public:
    static constexpr unsigned kMaxFrames = 64;
    static constexpr unsigned kEntriesPerFrame = 512;

    bool set_frame(unsigned index, std::byte* page);  // false: index out of range
    std::byte* frame(unsigned index) const {
        return index < kMaxFrames ? frames_[index].load(std::memory_order_acquire) : nullptr;
    }
    unsigned frames() const;  // highest set index + 1
    void forget();

    // Pins the entry for `domain` and gives the page's address; none: not granted, or not for writing.
    std::optional<GuestPhys> acquire(uint32_t reference, uint16_t domain, bool write);
    void release(uint32_t reference, bool write);

  private:
    struct Entry;
    Entry* entry(uint32_t reference) const;
    std::array<std::atomic<std::byte*>, kMaxFrames> frames_{};
};

}  // namespace bulkhead::vmm
