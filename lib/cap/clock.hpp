// SPDX-License-Identifier: Apache-2.0
// Time as blocking calls take it: absolute TSC values. Thread-safe, no allocation; freestanding.
#pragma once

#include <stdint.h>

#include "abi/types.hpp"

namespace bulkhead::cap {

inline uint64_t read_tsc() {
    return __builtin_ia32_rdtsc();
}

class TscClock {
  public:
    explicit constexpr TscClock(uint64_t tsc_khz) : khz_{tsc_khz ? tsc_khz : 1} {}

    constexpr uint64_t ticks_of_us(uint64_t us) const { return wide(us, khz_, 1000); }
    constexpr uint64_t us_of_ticks(uint64_t ticks) const { return wide(ticks, 1000, khz_); }
    constexpr uint64_t ns_of_ticks(uint64_t ticks) const { return wide(ticks, 1'000'000, khz_); }

    // Saturates at kDeadlineNever - 1, so that a huge wait is long, and not over at once.
    uint64_t deadline_in_us(uint64_t us) const {
        const uint64_t now = read_tsc(), ticks = ticks_of_us(us);
        return ticks >= abi::kDeadlineNever - 1 - now ? abi::kDeadlineNever - 1 : now + ticks;
    }
    uint64_t deadline_in_ms(uint64_t ms) const {
        return deadline_in_us(ms > UINT64_MAX / 1000 ? UINT64_MAX : ms * 1000);
    }

  private:
    static constexpr uint64_t wide(uint64_t value, uint64_t mul, uint64_t div) {
        __extension__ using u128 = unsigned __int128;
        const u128 r = u128{value} * mul / div;
        return r > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(r);
    }

    uint64_t khz_;
};

}  // namespace bulkhead::cap
