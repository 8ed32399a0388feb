// SPDX-License-Identifier: Apache-2.0
// The guest's clock: system time in nanoseconds since its start, derived from the TSC with the very scale
// that the guest itself uses (vcpu_time_info), so that both sides of a comparison round alike. Immutable
// after construction: any thread.
#pragma once

#include <cstdint>

namespace bulkhead::vmm {

class PvClock {
  public:
    PvClock(uint64_t tsc_khz, uint64_t start_tsc);

    uint64_t system_ns(uint64_t tsc) const;  // 0 before the start
    uint64_t tsc_at(
        uint64_t system_ns) const;      // the first TSC value at which system_ns() is not below; saturates
    uint64_t ticks(uint64_t ns) const;  // a duration

    uint64_t start_tsc() const { return start_tsc_; }
    uint64_t tsc_khz() const { return tsc_khz_; }
    uint32_t mul() const { return mul_; }    // vcpu_time_info.tsc_to_system_mul
    int8_t shift() const { return shift_; }  // vcpu_time_info.tsc_shift

  private:
    uint64_t tsc_khz_, start_tsc_;
    uint32_t mul_;
    int8_t shift_;
};

}  // namespace bulkhead::vmm
