// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/limits.hpp"

namespace bulkhead::init {
namespace {

using abi::MemoryRange;
using abi::MemoryType;

constexpr uint32_t kMostRanges = sizeof(abi::BootInfo::range) / sizeof(MemoryRange);

// The part of range `index` from `at` on becomes a range of its own, if there is room for one more.
bool split(abi::BootInfo& info, uint32_t index, uint64_t at) {
    if (info.ranges == kMostRanges) return false;
    for (uint32_t i = info.ranges; i > index + 1; --i) info.range[i] = info.range[i - 1];
    ++info.ranges;
    MemoryRange &low = info.range[index], &high = info.range[index + 1];
    high = {at, low.base + low.size - at, low.type, 0};
    low.size = at - low.base;
    return true;
}

bool shares_core(const abi::BootInfo& info, uint32_t count, uint32_t apic_id, unsigned shift) {
    for (uint32_t i = 0; i < count; ++i)
        if (info.cpu[i].apic_id >> shift == apic_id >> shift) return true;
    return false;
}

}  // namespace

void limit_memory(abi::BootInfo& info) {
    const uint64_t end = info.chosen.mem & ~(abi::kPageSize - 1);
    if (info.chosen.mem == 0) return;
    for (uint32_t i = 0; i < info.ranges; ++i) {
        MemoryRange& range = info.range[i];
        if (range.type != MemoryType::Free || range.base + range.size <= end) continue;
        // Without room for another entry, all of the range is given up.
        if (range.base < end && split(info, i, end)) continue;
        range.type = MemoryType::Bad;
    }
}

void limit_cpus(abi::BootInfo& info, unsigned threads_shift) {
    const abi::BootOptions& chosen = info.chosen;
    uint32_t most = chosen.nosmp != 0 ? 1 : chosen.maxcpus != 0 ? chosen.maxcpus : info.cpus;
    if (threads_shift > 31) threads_shift = 31;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < info.cpus && kept < most; ++i) {
        const abi::BootCpu cpu = info.cpu[i];
        if (chosen.smt == 0 && shares_core(info, kept, cpu.apic_id, threads_shift)) continue;
        info.cpu[kept++] = cpu;
    }
    info.cpus = kept;
}

}  // namespace bulkhead::init
