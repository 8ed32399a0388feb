// SPDX-License-Identifier: Apache-2.0
// The kept memory that outlives dom0: two halves, each holds one whole State with a sequence number and a
// checksum. A commit writes the half that is not current and makes it valid with its last store: whoever dies
// in between leaves the other half.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bulkhead::dom0 {

class Journal {
  public:
    // `memory` is 8-byte aligned and zero before its first use.
    explicit Journal(std::span<std::byte> memory);

    // What was committed last; nullopt in a journal that was never written. Damaged: nothing valid, but not
    // fresh either.
    std::optional<std::span<const std::byte>> load() const;
    bool damaged() const { return damaged_; }

    // false: it does not fit, and nothing changed.
    [[nodiscard]] bool commit(std::span<const std::byte> bytes);

    std::size_t capacity() const { return half_ - sizeof(Header); }
    std::uint64_t sequence() const { return sequence_; }

  private:
    struct Header {
        std::uint64_t magic, sequence, size, checksum;
    };
    static constexpr std::uint64_t kMagic = 0x314c4e524a30444d;  // "MD0JRNL1"

    std::byte* half(std::size_t index) const { return memory_.data() + index * half_; }
    std::optional<Header> valid(std::size_t index) const;

    std::span<std::byte> memory_;
    std::size_t half_;
    std::size_t current_ = 0;
    std::uint64_t sequence_ = 0;
    bool damaged_ = false;
};

}  // namespace bulkhead::dom0
