// SPDX-License-Identifier: Apache-2.0
// Measures one operation many times by RDTSC (under -icount one tick is one retired instruction) and writes
// the BENCH line that tools/bench.py reads: the median, without what measuring itself costs, and what the
// kernel did per operation.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>

#include "abi/bootinfo.hpp"
#include "lib/cap/start.hpp"

namespace bulkhead::bench {

using cap::CapAddr;
namespace sys = cap::sys;

inline CapAddr inspect{0, abi::root::kInspect};  // where the program keeps this capability

inline constexpr unsigned kWarmUp = 100, kSamples = 1001;

[[gnu::always_inline]] inline uint64_t tsc() {
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t{high} << 32) | low;
}

struct Figure {
    uint64_t median;
    double cr3, wrmsr, ipi, tlb;
};

template <typename Operation>
[[gnu::noinline]] Figure sample(Operation&& operation) {
    static std::array<uint64_t, kSamples> ticks;
    for (unsigned i = 0; i < kWarmUp; ++i) operation();
    cap::drop(sys::debug_counters(inspect, true));
    for (auto& t : ticks) {
        const uint64_t begin = tsc();
        operation();
        t = tsc() - begin;
    }
    const cap::Result counted = sys::debug_counters(inspect, false);
    std::nth_element(ticks.begin(), ticks.begin() + kSamples / 2, ticks.end());
    const auto each = [](uint64_t n) { return static_cast<double>(n) / kSamples; };
    return {ticks[kSamples / 2], each(counted.r0), each(counted.r1), each(counted.r2), each(counted.r3)};
}

// `divisor`: operations of the measured kind in one call of `operation`.
template <typename Operation>
void measure(const char* name, Operation&& operation, unsigned divisor = 1) {
    static const uint64_t overhead = sample([]() __attribute__((always_inline)) { asm volatile(""); }).median;
    const Figure f = sample(operation);
    char line[160];
    const double value = static_cast<double>(f.median - overhead) / divisor;
    std::snprintf(line, sizeof line, "BENCH %s %.*f instructions cr3=%.2f wrmsr=%.2f ipi=%.2f tlb=%.2f", name,
                  divisor == 1 ? 0 : 1, value, f.cr3 / divisor, f.wrmsr / divisor, f.ipi / divisor,
                  f.tlb / divisor);
    cap::log_line(line);
}

void call_benchmarks();
void notification_benchmarks();
void fault_benchmarks();
void memory_benchmarks();
void vcpu_benchmarks();

}  // namespace bulkhead::bench
