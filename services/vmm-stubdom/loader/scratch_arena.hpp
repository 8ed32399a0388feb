// SPDX-License-Identifier: Apache-2.0
// Working memory of the decompressors, carved from the guest's own unused RAM so that it costs the VMM
// nothing. Frees nothing but the last block: a decompressor lives for one image. Not thread-safe.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bulkhead::vmm {

class ScratchArena {
  public:
    explicit ScratchArena(std::span<std::byte> memory) : memory_(memory) {}
    ScratchArena(const ScratchArena&) = delete;
    ScratchArena& operator=(const ScratchArena&) = delete;

    // Aligned to 64 bytes; nullptr when exhausted, which every decompressor reports as "out of memory".
    [[nodiscard]] void* allocate(std::size_t size) {
        const std::uintptr_t start = std::bit_cast<std::uintptr_t>(memory_.data() + used_);
        const std::size_t padding = (64 - start % 64) % 64;
        const std::size_t left = memory_.size() - used_;
        if (size == 0 || padding > left || size > left - padding) {
            exhausted_ = exhausted_ || size != 0;
            return nullptr;
        }
        std::byte* block = memory_.data() + used_ + padding;
        used_ += padding + size;
        last_ = block;
        return block;
    }
    void release(const void* block) {
        if (block && block == last_) used_ = static_cast<std::size_t>(last_ - memory_.data());
    }
    [[nodiscard]] bool exhausted() const { return exhausted_; }

  private:
    std::span<std::byte> memory_;
    std::size_t used_ = 0;
    std::byte* last_ = nullptr;
    bool exhausted_ = false;
};

}  // namespace bulkhead::vmm
