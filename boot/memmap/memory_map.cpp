// SPDX-License-Identifier: Apache-2.0
#include "boot/memmap/memory_map.hpp"

namespace bulkhead::boot {

using abi::MemoryRange;
using abi::MemoryType;

namespace {
constexpr uint64_t kPage = abi::kPageSize;
constexpr uint64_t kTop = uint64_t{1} << 52;  // no physical address is higher

uint64_t round_down(uint64_t v) {
    return v & ~(kPage - 1);
}
uint64_t round_up(uint64_t v) {
    return (v + kPage - 1) & ~(kPage - 1);
}
}  // namespace

unsigned caution(MemoryType type) {
    switch (type) {
        case MemoryType::Free: return 1;
        case MemoryType::Boot: return 2;
        case MemoryType::AcpiReclaim: return 3;
        case MemoryType::Module: return 4;
        case MemoryType::Kernel: return 5;
        case MemoryType::AcpiNvs: return 6;
        case MemoryType::Mmio: return 7;
        case MemoryType::Bad: return 9;
        default: return 8;  // Reserved, and whatever we do not know
    }
}

bool MemoryMap::add(uint64_t base, uint64_t size, MemoryType type) {
    if (base >= kTop || size == 0) return true;
    const uint64_t end = size > kTop - base ? kTop : base + size;
    const bool free = type == MemoryType::Free;
    const uint64_t first = free ? round_up(base) : round_down(base);
    const uint64_t last = free ? round_down(end) : round_up(end);
    if (first >= last) return true;
    // Firmware tells memory in many small neighbours: one claim serves for them.
    if (claims_ > 0 && claims_ <= kCapacity) {
        MemoryRange& before = claim_[claims_ - 1];
        if (before.type == type && before.base + before.size == first) {
            before.size = last - before.base;
            return true;
        }
    }
    if (claims_ == kCapacity) {
        claims_ = kCapacity + 1;
        return false;
    }
    if (claims_ > kCapacity) return false;
    claim_[claims_++] = {first, last - first, type, 0};
    return true;
}

// Sweeps from boundary to boundary; quadratic, once per boot, a few hundred claims at most.
size_t MemoryMap::normalise(MemoryRange* out, size_t capacity) const {
    if (claims_ > kCapacity) return 0;
    size_t count = 0;
    uint64_t at = 0;
    while (at < kTop) {
        // A page that a firmware claims partly Free and partly something else is covered by the other claim's
        // rounding.
        const MemoryRange* best = nullptr;
        uint64_t next = kTop;
        for (size_t i = 0; i < claims_; ++i) {
            const MemoryRange& c = claim_[i];
            if (c.base > at) {
                if (c.base < next) next = c.base;
                continue;
            }
            const uint64_t end = c.base + c.size;
            if (end <= at) continue;
            if (end < next) next = end;
            if (best == nullptr || caution(c.type) > caution(best->type)) best = &c;
        }
        if (best != nullptr) {
            MemoryRange* last = count > 0 ? &out[count - 1] : nullptr;
            if (last != nullptr && last->type == best->type && last->base + last->size == at) {
                last->size += next - at;
            } else {
                if (count == capacity) return 0;
                out[count++] = {at, next - at, best->type, 0};
            }
        }
        at = next;
    }
    return count;
}

}  // namespace bulkhead::boot
