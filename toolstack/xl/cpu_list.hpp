// SPDX-License-Identifier: Apache-2.0
// A set of host CPUs and the "CPULIST" syntax of xl.cfg(5): "all", "0-3,5,^1".
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>

#include "toolstack/xl/error.hpp"

namespace bulkhead::xl {

struct CpuSet {
    static constexpr std::size_t kMaxCpus = 256;
    std::bitset<kMaxCpus> bits;

    static CpuSet all();
    // The error's sentence has no place; the caller puts it in front.
    static Result<CpuSet> parse(std::string_view list);

    bool is_all() const { return bits.all(); }
    bool contains(std::size_t cpu) const { return cpu < kMaxCpus && bits[cpu]; }
    std::string text() const;  // "all", or ranges: "0-2,5"
    bool operator==(const CpuSet&) const = default;
};

}  // namespace bulkhead::xl
