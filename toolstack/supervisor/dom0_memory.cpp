// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/dom0_memory.hpp"

#include <algorithm>

namespace bulkhead::supervisor {
namespace {

constexpr uint64_t kMostKib = 256 << 10;
constexpr uint64_t kPart = 8;  // of all memory, at most

uint64_t kib_of(const abi::MemoryWish& wish, uint64_t total) {
    const uint64_t less = wish.bytes < 0 ? static_cast<uint64_t>(-wish.bytes) : 0;
    const uint64_t base = wish.bytes >= 0 ? static_cast<uint64_t>(wish.bytes)
                          : total > less  ? total - less
                                          : 0;
    return (base + total / 100 * wish.percent) / 1024;
}

}  // namespace

Dom0Memory dom0_memory(const abi::BootOptions& chosen, uint32_t manifest_kib, uint64_t total_bytes) {
    uint64_t asked = chosen.dom0_mem.given ? kib_of(chosen.dom0_mem, total_bytes) : manifest_kib;
    if (chosen.dom0_mem_min.given) asked = std::max(asked, kib_of(chosen.dom0_mem_min, total_bytes));
    if (chosen.dom0_mem_max.given) asked = std::min(asked, kib_of(chosen.dom0_mem_max, total_bytes));
    const uint64_t part = total_bytes / 1024 / kPart;
    const uint64_t most = std::max<uint64_t>(manifest_kib, std::min(kMostKib, part));
    const uint64_t kib = std::clamp<uint64_t>(asked, manifest_kib, most);
    return {asked, static_cast<uint32_t>(kib), static_cast<uint32_t>(most)};
}

}  // namespace bulkhead::supervisor
