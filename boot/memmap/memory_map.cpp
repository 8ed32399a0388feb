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
    if (type != MemoryType::Free) return claim(round_down(base), round_up(end), type);
    bool whole = claim(round_up(base), round_down(end), type);
    if (base != round_up(base))
        whole = claim(round_down(base), round_up(base), MemoryType::Reserved) && whole;
    if (end != round_up(end)) whole = claim(round_down(end), round_up(end), MemoryType::Reserved) && whole;
    return whole;
}

bool MemoryMap::claim(uint64_t first, uint64_t last, MemoryType type) {
    if (first >= last) return claims_ <= kCapacity;
    // Firmware lists neighbours one by one: they need no room of their own.
    if (claims_ > 0 && claims_ <= kCapacity) {
        MemoryRange& before = claim_[claims_ - 1];
        if (before.type == type && before.base + before.size == first) {
            before.size += last - first;
            return true;
        }
    }
    if (claims_ >= kCapacity) {
        claims_ = kCapacity + 1;
        return false;
    }
    claim_[claims_++] = {first, last - first, type, 0};
    return true;
}

// Sweeps from boundary to boundary; quadratic, once per boot, a few hundred claims at most.
size_t MemoryMap::normalise(MemoryRange* out, size_t capacity) const {
    if (claims_ > kCapacity) return 0;
    size_t count = 0;
    uint64_t at = 0;
    while (at < kTop) {
        MemoryType type{};  // none
        bool memory = false;
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
            memory |= caution(c.type) < caution(MemoryType::Mmio);
            if (type == MemoryType{} || caution(c.type) > caution(type)) type = c.type;
        }
        // Memory and registers at once cannot be: nobody gets to try which.
        if (type == MemoryType::Mmio && memory) type = MemoryType::Reserved;
        if (type != MemoryType{}) {
            MemoryRange* last = count > 0 ? &out[count - 1] : nullptr;
            if (last != nullptr && last->type == type && last->base + last->size == at) {
                last->size += next - at;
            } else {
                if (count == capacity) return 0;
                out[count++] = {at, next - at, type, 0};
            }
        }
        at = next;
    }
    return count;
}

}  // namespace bulkhead::boot
