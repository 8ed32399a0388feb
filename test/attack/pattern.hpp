// SPDX-License-Identifier: Apache-2.0
// What the victim's memory holds: every word says so.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::attack {

inline constexpr uint64_t kPattern = 0x5ec2'e75e'c2e7'5ec2;

inline void fill(uint64_t* words, size_t count) {
    for (size_t i = 0; i < count; ++i) words[i] = kPattern;
}
inline bool is_filled(const uint64_t* words, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (words[i] != kPattern) return false;
    return true;
}

}  // namespace bulkhead::attack
