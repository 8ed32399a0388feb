// SPDX-License-Identifier: Apache-2.0
// Process-context identifiers of one CPU: which host root may still have translations under which PCID. A
// small direct-mapped cache; a root that finds its place taken, or from whose table something was taken since
// (epoch), is loaded with a flush. PCID 0 is the kernel's own root, which has no user translations. Pure
// logic, tested on the host.
#pragma once

#include <stdint.h>

namespace bulkhead::arch {

class PcidCache {
  public:
    struct Choice {
        uint16_t pcid;
        bool keep;  // what is cached under this PCID is still true: load without flushing
    };

    // Epochs are unique among all roots for ever, so that a new root at an old address is not mistaken for
    // it.
    Choice choose(const void* root, uint64_t epoch) {
        const uint64_t place = (reinterpret_cast<uint64_t>(root) >> 13) % kPlaces;
        Entry& e = entry_[place];
        const bool keep = e.root == root && e.epoch == epoch;
        e = {root, epoch};
        return {static_cast<uint16_t>(place + 1), keep};
    }

  private:
    static constexpr uint64_t kPlaces = 16;
    struct Entry {
        const void* root;
        uint64_t epoch;
    };
    Entry entry_[kPlaces];
};

}  // namespace bulkhead::arch
