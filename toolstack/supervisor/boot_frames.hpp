// SPDX-License-Identifier: Apache-2.0
// A boot module as Frames: its memory lies in device Untypeds (never zeroed) that the kernel gave to the root
// task. Any page range of it can be minted, read-only, for another domain.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "abi/bootinfo.hpp"
#include "lib/cap/environment.hpp"

namespace bulkhead::supervisor {

class BootFrames {
  public:
    // Turns module `index` of `root` into Frames (the largest that fit) and maps it read-only in the
    // supervisor.
    static std::expected<BootFrames, cap::Status> open(cap::Environment& env, const abi::RootInfo& root,
                                                       uint32_t index);

    std::span<const uint8_t> bytes() const { return {reinterpret_cast<const uint8_t*>(address_), size_}; }

    // The largest naturally aligned piece that starts at `offset`, fits into `bytes` and suits an `address`:
    // its frame, the offset within that frame, and its size in bits.
    struct Piece {
        cap::CapAddr frame;
        uint64_t frame_offset;
        unsigned bits;
    };
    Piece piece_at(uint64_t offset, uint64_t bytes, uint64_t address) const;

  private:
    struct Block {
        uint64_t offset, size;  // within the module
        cap::CapAddr frame;
        uint64_t physical;
    };
    std::vector<Block> blocks_;  // ascending, without gaps
    uint64_t address_ = 0, size_ = 0;
};

// log2 of the largest power of two that divides `address` and is at most `bytes`; at most 2 MiB, at least a
// page.
unsigned piece_bits(uint64_t address, uint64_t bytes);

}  // namespace bulkhead::supervisor
