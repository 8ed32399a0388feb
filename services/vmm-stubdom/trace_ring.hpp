// SPDX-License-Identifier: Apache-2.0
// The last exits of one vCPU, for the report of a crash and for dom0's `trace`. Written by the vCPU's thread
// with plain stores, a few instructions per exit; read by any thread, also while the guest runs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "abi/vcpu.hpp"

namespace bulkhead::vmm {

class TraceRing {
  public:
    static constexpr unsigned kEntries = 64;
    static constexpr unsigned kMost = kEntries - 1;  // that can be read: the oldest may be being overwritten

    // `detail`: the MSR, the guest-physical address, the exit code; of a hypercall its number and, from bit
    // 32, half of its first argument; of port I/O the port and, in bit 16, whether it was read; else RAX.
    struct Exit {
        uint64_t rip = 0, detail = 0;
        abi::ExitReason reason = abi::ExitReason::None;
    };
    struct Last {
        uint64_t first = 0;  // how many exits there were before exits[0]
        unsigned count = 0;
        std::array<Exit, kMost> exits{};  // oldest first
    };

    void record(abi::ExitReason reason, uint64_t rip, uint64_t detail) {
        Exit& e = exits_[next_ % kEntries];
        // A reader that sees any of these stores sees the number of the exit before, too: it drops the entry
        // that is being written. No instruction on x86, whose stores keep their order.
        __atomic_thread_fence(__ATOMIC_RELEASE);
        __atomic_store_n(&e.rip, rip, __ATOMIC_RELAXED);
        __atomic_store_n(&e.detail, detail, __ATOMIC_RELAXED);
        __atomic_store(&e.reason, &reason, __ATOMIC_RELAXED);
        __atomic_store_n(&next_, next_ + 1, __ATOMIC_RELEASE);
    }
    uint64_t count() const { return __atomic_load_n(&next_, __ATOMIC_ACQUIRE); }
    Last last(unsigned most) const;
    std::string dump(unsigned most) const;  // oldest first, one line each

  private:
    std::array<Exit, kEntries> exits_{};
    uint64_t next_ = 0;
};

}  // namespace bulkhead::vmm
