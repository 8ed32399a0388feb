// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/trace_ring.hpp"

#include <algorithm>
#include <cstdio>

namespace bulkhead::vmm {

TraceRing::Last TraceRing::last(unsigned most) const {
    const uint64_t end = count();
    const uint64_t begin = end - std::min<uint64_t>({most, kMost, end});
    Last out{begin, 0, {}};
    for (uint64_t i = begin; i != end; ++i) {
        const Exit& e = exits_[i % kEntries];
        Exit& copy = out.exits[out.count++];
        copy.rip = __atomic_load_n(&e.rip, __ATOMIC_RELAXED);
        copy.detail = __atomic_load_n(&e.detail, __ATOMIC_RELAXED);
        __atomic_load(&e.reason, &copy.reason, __ATOMIC_RELAXED);
    }
    // Meanwhile the vCPU went on: what it wrote over, and what it may be writing over now, is dropped.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const uint64_t now = __atomic_load_n(&next_, __ATOMIC_RELAXED);
    const uint64_t intact = now - std::min<uint64_t>(now, kMost);
    if (intact > begin) {
        const auto lost = static_cast<unsigned>(std::min<uint64_t>(intact - begin, out.count));
        std::copy(out.exits.begin() + lost, out.exits.begin() + out.count, out.exits.begin());
        out.first += lost;
        out.count -= lost;
    }
    return out;
}

std::string TraceRing::dump(unsigned most) const {
    const Last shown = last(most);
    std::string text;
    for (unsigned i = 0; i < shown.count; ++i) {
        const Exit& e = shown.exits[i];
        char line[96];
        std::snprintf(line, sizeof line, "  %-14s rip %016llx  %llx\n", abi::exit_name(e.reason),
                      static_cast<unsigned long long>(e.rip), static_cast<unsigned long long>(e.detail));
        text += line;
    }
    return text;
}

}  // namespace bulkhead::vmm
