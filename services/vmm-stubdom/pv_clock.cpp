// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/pv_clock.hpp"

namespace bulkhead::vmm {

namespace {
__extension__ typedef unsigned __int128 uint128;
}

PvClock::PvClock(uint64_t tsc_khz, uint64_t start_tsc)
    : tsc_khz_{tsc_khz ? tsc_khz : 1'000'000}, start_tsc_{start_tsc}, shift_{0} {
    // ns = (ticks << shift) * mul >> 32 with mul in [2^31, 2^32): as precise as 32 bits allow.
    uint64_t hz = tsc_khz_ * 1000;
    uint128 wanted = (uint128{1'000'000'000} << 32);
    while (wanted / hz >= (uint128{1} << 32)) {
        hz <<= 1;
        ++shift_;
    }
    while (wanted / hz < (uint128{1} << 31)) {
        wanted <<= 1;
        --shift_;
    }
    mul_ = static_cast<uint32_t>(wanted / hz);
}

uint64_t PvClock::system_ns(uint64_t tsc) const {
    if (tsc <= start_tsc_) return 0;
    uint64_t delta = tsc - start_tsc_;
    delta = shift_ >= 0 ? delta << shift_ : delta >> -shift_;
    return static_cast<uint64_t>((uint128{delta} * mul_) >> 32);
}

uint64_t PvClock::tsc_at(uint64_t ns) const {
    const uint64_t delta = ticks(ns);
    return delta > ~uint64_t{0} - 1 - start_tsc_ ? ~uint64_t{0} - 1 : start_tsc_ + delta;
}

uint64_t PvClock::ticks(uint64_t ns) const {
    // Rounded up, twice: an expiry must never be seen as early by the guest, or it re-arms for the remaining
    // nanosecond.
    uint128 scaled = ((uint128{ns} << 32) + mul_ - 1) / mul_;
    const uint128 result =
        shift_ >= 0 ? (scaled + ((uint128{1} << shift_) - 1)) >> shift_ : scaled << -shift_;
    return result > ~uint64_t{0} - 1 ? ~uint64_t{0} - 1 : static_cast<uint64_t>(result);
}

}  // namespace bulkhead::vmm
