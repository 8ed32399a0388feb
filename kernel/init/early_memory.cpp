// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/early_memory.hpp"

#include "kernel/arch/x86_64/memory.hpp"

namespace bulkhead::init {

using abi::MemoryRange;
using abi::MemoryType;

EarlyMemory::EarlyMemory(abi::BootInfo& info) : info_{info}, range_{nullptr}, next_{0} {
    for (uint32_t i = 0; i < info.ranges; ++i) {
        MemoryRange& r = info.range[i];
        if (r.type != MemoryType::Free || r.base + r.size > (uint64_t{1} << 32)) continue;
        if (range_ == nullptr || r.size > range_->size) range_ = &r;
    }
    if (range_ == nullptr) arch::panic("there is no free memory below 4 GiB");
    next_ = range_->base + range_->size;
}

uint64_t EarlyMemory::pages(uint64_t count) {
    if (next_ - range_->base < count * abi::kPageSize) arch::panic("memory does not suffice to boot");
    next_ -= count * abi::kPageSize;
    auto* view = static_cast<unsigned char*>(offset_ ? arch::direct(next_) : reinterpret_cast<void*>(next_));
    for (uint64_t i = 0; i < count; ++i) arch::zero_page(view + i * abi::kPageSize);
    return next_;
}
uint64_t EarlyMemory::page() {
    return pages(1);
}

void EarlyMemory::finish() {
    constexpr uint32_t kCapacity = sizeof(info_.range) / sizeof(info_.range[0]);
    const uint64_t end = range_->base + range_->size;
    if (next_ == end) return;
    if (info_.ranges == kCapacity) arch::panic("the memory map has too many entries");
    const uint32_t index = static_cast<uint32_t>(range_ - info_.range);
    for (uint32_t i = info_.ranges; i > index + 1; --i) info_.range[i] = info_.range[i - 1];
    ++info_.ranges;
    range_->size = next_ - range_->base;
    info_.range[index + 1] = {next_, end - next_, MemoryType::Kernel, 0};
}

}  // namespace bulkhead::init
