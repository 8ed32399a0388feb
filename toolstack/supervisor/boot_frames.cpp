// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/boot_frames.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::supervisor {
namespace {

constexpr uint64_t kPage = abi::kPageSize;

}  // namespace

unsigned piece_bits(uint64_t address, uint64_t bytes) {
    const unsigned by_address = address ? static_cast<unsigned>(std::countr_zero(address)) : 63u;
    const unsigned by_size = bytes ? static_cast<unsigned>(std::bit_width(bytes)) - 1 : 0;
    return std::clamp<unsigned>(std::min(by_address, by_size), abi::kPageBits, abi::kLargePageBits);
}

std::expected<BootFrames, cap::Status> BootFrames::open(cap::Environment& env, const abi::RootInfo& root,
                                                        uint32_t index) {
    const abi::BootModule& module = root.boot.module[index];
    BootFrames out;
    out.size_ = module.size;
    const uint64_t span = (module.size + kPage - 1) & ~(kPage - 1);
    for (uint32_t i = 0; i < root.untypeds; i++) {
        const abi::RootUntyped& untyped = root.untyped[i];
        if (untyped.module != index + 1) continue;
        const cap::CapAddr memory{0, abi::root::kFirstUntyped + i};
        const uint64_t end =
            std::min(untyped.physical + (uint64_t{1} << untyped.size_bits), module.base + span);
        for (uint64_t at = untyped.physical; at < end;) {
            const unsigned bits = piece_bits(at, end - at);
            const auto slot = env.cspace.slots().allocate();
            if (!slot) return std::unexpected{cap::Status::OutOfMemory};
            if (const auto status = cap::sys::retype(memory, abi::ObjectType::Frame, bits, *slot);
                status != cap::Status::Ok)
                return std::unexpected{status};
            out.blocks_.push_back({at - module.base, uint64_t{1} << bits, *slot, at});
            at += uint64_t{1} << bits;
        }
    }
    std::ranges::sort(out.blocks_, {}, &Block::offset);
    uint64_t covered = 0;
    for (const Block& block : out.blocks_) {
        if (block.offset != covered) return std::unexpected{cap::Status::BadArgument};
        covered += block.size;
    }
    if (covered < span) return std::unexpected{cap::Status::BadArgument};

    constexpr uint64_t kLarge = uint64_t{1} << abi::kLargePageBits;
    const auto address = env.mapper.reserve(covered + kLarge, kLarge);
    if (!address) return std::unexpected{cap::Status::OutOfMemory};
    // Keep the physical position within 2 MiB, so that every block can be mapped whole.
    const uint64_t base = *address + module.base % kLarge;
    for (const Block& block : out.blocks_) {
        // The original capability is kept for minting; the supervisor maps a copy.
        const auto own = env.cspace.slots().allocate();
        if (!own) return std::unexpected{cap::Status::OutOfMemory};
        if (const auto status = cap::sys::cap_copy(*own, block.frame, abi::rights::kRead);
            status != cap::Status::Ok)
            return std::unexpected{status};
        const auto bits = static_cast<unsigned>(std::countr_zero(block.size));
        if (const auto status = env.mapper.map_at(base + block.offset, *own, bits, abi::map::kRead, 1);
            status != cap::Status::Ok)
            return std::unexpected{status};
    }
    out.address_ = base;
    return out;
}

BootFrames::Piece BootFrames::piece_at(uint64_t offset, uint64_t bytes, uint64_t address) const {
    const auto next = std::ranges::upper_bound(blocks_, offset, {}, &Block::offset);
    const Block& block = *std::prev(next);
    const uint64_t within = offset - block.offset;
    unsigned bits = std::min(piece_bits(address, std::min(bytes, block.size - within)),
                             piece_bits(within ? within : block.size, block.size - within));
    return {block.frame, within, bits};
}

}  // namespace bulkhead::supervisor
