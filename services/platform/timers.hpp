// SPDX-License-Identifier: Apache-2.0
// How fast the time-stamp counter runs by another clock of the machine: a second opinion on what the kernel
// measured at boot.
#pragma once

#include <algorithm>
#include <cstdint>

namespace bulkhead::platform {

// A counter of `hertz` that wraps at `mask`, watched for about 20 ms. 0: it does not count.
template <typename Read, typename Tsc>
uint64_t tsc_khz_by(Read&& read, uint64_t hertz, uint64_t mask, Tsc&& tsc) {
    constexpr unsigned kMostPolls = 1'000'000;
    const uint64_t wanted = hertz / 50;
    if (hertz == 0 || wanted >= mask) return 0;
    const uint64_t first = read();
    const uint64_t begin = tsc();
    for (unsigned polls = 0; polls < kMostPolls; polls++) {
        const uint64_t passed = (read() - first) & mask;
        if (passed < wanted) continue;
        const uint64_t ticks = tsc() - begin;
        return ticks / passed * hertz / 1000 + ticks % passed * hertz / passed / 1000;
    }
    return 0;
}

// The middle one of five: an SMI or a busy emulator host falls into some of them.
template <typename Measure>
uint64_t middle_of_five(Measure&& measure) {
    uint64_t khz[5];
    for (uint64_t& one : khz)
        if (one = measure(); one == 0) return 0;
    std::ranges::sort(khz);
    return khz[2];
}

}  // namespace bulkhead::platform
