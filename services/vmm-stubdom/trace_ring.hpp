// SPDX-License-Identifier: Apache-2.0
// The last exits of one vCPU, for the report of a crash. Written by the vCPU's thread with plain stores (a
// few instructions per exit); read when that thread has stopped.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "abi/vcpu.hpp"

namespace bulkhead::vmm {

const char* exit_name(abi::ExitReason reason);

class TraceRing {
  public:
    static constexpr unsigned kEntries = 64;

    void record(abi::ExitReason reason, uint64_t rip, uint64_t detail) {
        entries_[next_++ % kEntries] = {rip, detail, reason};
    }
    uint32_t count() const { return __atomic_load_n(&next_, __ATOMIC_RELAXED); }  // any thread; wraps
    std::string dump(unsigned most) const;  // oldest first, one line each

  private:
    struct Entry {
        uint64_t rip = 0, detail = 0;
        abi::ExitReason reason = abi::ExitReason::None;
    };
    std::array<Entry, kEntries> entries_{};
    uint32_t next_ = 0;
};

}  // namespace bulkhead::vmm
