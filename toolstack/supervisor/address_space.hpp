// SPDX-License-Identifier: Apache-2.0
// Another domain's address space while it is being built: page tables and frames come from that domain's own
// memory, and every capability that holds a mapping lies in the domain's *keeper*, a CNode that also comes
// from that memory and that nobody but the supervisor can name. So revoking the memory takes the whole domain
// down, mappings of shared boot files included.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <span>

#include "lib/cap/environment.hpp"
#include "toolstack/supervisor/boot_frames.hpp"

namespace bulkhead::supervisor {

using Outcome = std::expected<void, cap::Status>;

// Slots of the keeper, given out in order and never returned: the keeper dies as a whole.
class Keeper {
  public:
    Keeper(uint32_t root_slot, unsigned bits) : root_slot_{root_slot}, limit_{1u << bits} {}
    std::expected<cap::CapAddr, cap::Status> take(uint32_t count = 1) {
        if (limit_ - next_ < count) return std::unexpected{cap::Status::OutOfMemory};
        const cap::CapAddr slot{root_slot_, next_};
        next_ += count;
        return slot;
    }
    uint32_t used() const { return next_; }

  private:
    uint32_t root_slot_, limit_, next_ = 1;
};

class AddressSpace {
  public:
    // `memory` is the Untyped that everything is made from.
    static std::expected<AddressSpace, cap::Status> create(cap::Environment& env, cap::CapAddr memory,
                                                           Keeper& keeper);

    cap::CapAddr root() const { return root_; }

    // New zeroed memory at [address, address + bytes), both page-aligned. `fill` sees it piece by piece,
    // writable: (offset from `address`, bytes of the piece).
    using Fill = std::function<void(uint64_t offset, std::span<std::byte> piece)>;
    Outcome map_new(uint64_t address, uint64_t bytes, uint64_t flags, const Fill& fill = {});

    // `count` new zeroed pages in consecutive slots from `first`, which then hold their mappings. `fill` sees
    // those of the first `filled` bytes.
    Outcome map_pages(cap::CapAddr first, uint64_t address, uint64_t count, uint64_t flags, uint64_t filled,
                      const Fill& fill);

    // Part of a boot module, read-only or executable, without copying. All three page-aligned.
    Outcome map_boot(const BootFrames& frames, uint64_t offset, uint64_t bytes, uint64_t address,
                     uint64_t flags);

    // A Frame that is the domain's own; `frame` holds the mapping.
    Outcome map(cap::CapAddr frame, uint64_t address, uint64_t flags);

    // A whole Frame of ours: a copy of `frame` is made in the keeper. Returns the copy's slot.
    std::expected<cap::CapAddr, cap::Status> map_copy(cap::CapAddr frame, uint8_t rights, uint64_t address,
                                                      uint64_t flags);

    // Lets `fill` write into such a Frame of 2^bits bytes through a mapping of ours that ends before this
    // returns.
    Outcome write(cap::CapAddr frame, unsigned bits, uint64_t offset, const Fill& fill);

  private:
    AddressSpace(cap::Environment& env, cap::CapAddr memory, Keeper& keeper, cap::CapAddr root)
        : env_{&env}, memory_{memory}, keeper_{&keeper}, root_{root} {}

    cap::Environment* env_;
    cap::CapAddr memory_;
    Keeper* keeper_;
    cap::CapAddr root_;
};

}  // namespace bulkhead::supervisor
