// SPDX-License-Identifier: Apache-2.0
// Address-space identifiers of one CPU. A vCPU keeps the one it was given while (a) it stays on this CPU, (b)
// the CPU has not started over (generation) and (c) nothing was taken out of its nested page table (epoch).
// Otherwise it takes a fresh one, which no TLB entry can carry: starting over flushes everything. Pure logic,
// tested on the host.
#pragma once

#include <stdint.h>

namespace bulkhead::arch::svm {

// In the vCPU.
struct AsidHeld {
    uint32_t asid, cpu;
    uint64_t generation;  // of that CPU; 0: none held
    uint64_t epoch;       // of the nested root when it was taken
};

// What the next VMRUN has to do.
enum class AsidFlush : uint8_t { Nothing, All };

class AsidPool {
  public:
    void init(uint32_t cpu, uint32_t asids) {
        cpu_ = cpu;
        limit_ = asids;  // 1 .. asids - 1 are usable, 0 is the host's
        next_ = 1;
        generation_ = 1;
    }

    bool current(const AsidHeld& held, uint64_t epoch) const {
        return held.generation == generation_ && held.cpu == cpu_ && held.epoch == epoch;
    }

    AsidFlush take(AsidHeld& held, uint64_t epoch) {
        AsidFlush flush = AsidFlush::Nothing;
        if (next_ >= limit_) {
            ++generation_;
            next_ = 1;
            flush = AsidFlush::All;
        }
        held = {next_++, cpu_, generation_, epoch};
        return flush;
    }

  private:
    uint32_t cpu_ = 0, limit_ = 0, next_ = 1;
    uint64_t generation_ = 1;
};

}  // namespace bulkhead::arch::svm
