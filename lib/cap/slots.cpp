// SPDX-License-Identifier: Apache-2.0
#include "lib/cap/slots.hpp"

#include <cassert>

namespace bulkhead::cap {

SlotAllocator::SlotAllocator(uint32_t cnode, abi::SlotRange range)
    : cnode_{cnode},
      first_{range.first},
      count_{range.count},
      free_{range.count},
      bits_((range.count + 63) / 64) {}

void SlotAllocator::set(uint32_t i, bool value) {
    const uint64_t bit = uint64_t{1} << (i % 64);
    bits_[i / 64] = value ? bits_[i / 64] | bit : bits_[i / 64] & ~bit;
}

std::optional<abi::CapAddr> SlotAllocator::allocate() {
    return allocate_run(1);
}

std::optional<abi::CapAddr> SlotAllocator::allocate_run(uint32_t count) {
    const std::lock_guard lock{mutex_};
    if (count == 0 || count > free_) return std::nullopt;
    // Two passes: from the hint to the end, then from the start (a run may begin before the hint and cross
    // it).
    for (uint32_t start : {hint_, uint32_t{0}}) {
        uint32_t run = 0;
        for (uint32_t i = start; i < count_; ++i) {
            if (run == 0 && i % 64 == 0 && ~bits_[i / 64] == 0) {
                i += 63;
                continue;
            }
            run = used(i) ? 0 : run + 1;
            if (run < count) continue;
            const uint32_t first = i + 1 - count;
            for (uint32_t k = first; k <= i; ++k) set(k, true);
            free_ -= count;
            hint_ = i + 1 < count_ ? i + 1 : 0;
            return abi::CapAddr{cnode_, first_ + first};
        }
    }
    return std::nullopt;
}

void SlotAllocator::free(abi::CapAddr slot, uint32_t count) {
    const std::lock_guard lock{mutex_};
    assert(slot.cnode() == cnode_ && slot.slot() >= first_ && slot.slot() - first_ + count <= count_);
    for (uint32_t i = slot.slot() - first_; i < slot.slot() - first_ + count; ++i) {
        assert(used(i));
        set(i, false);
    }
    free_ += count;
}

uint32_t SlotAllocator::available() const {
    const std::lock_guard lock{mutex_};
    return free_;
}

}  // namespace bulkhead::cap
