// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/address_space.hpp"

namespace bulkhead::supervisor {
namespace {

using cap::CapAddr;
using cap::Status;

Outcome outcome(Status status) {
    if (status != Status::Ok) return std::unexpected{status};
    return {};
}

}  // namespace

std::expected<AddressSpace, Status> AddressSpace::create(cap::Environment& env, CapAddr memory,
                                                         Keeper& keeper) {
    const auto root = keeper.take();
    if (!root) return std::unexpected{root.error()};
    if (const auto status = cap::sys::retype(memory, abi::ObjectType::PageTable,
                                             abi::table_size_arg(abi::TableKind::Host, 4), *root);
        status != Status::Ok)
        return std::unexpected{status};
    return AddressSpace{env, memory, keeper, *root};
}

Outcome AddressSpace::map(CapAddr frame, uint64_t address, uint64_t flags) {
    for (int missing = 0; missing < 4; missing++) {
        const cap::Result mapped = cap::sys::frame_map(root_, frame, address, flags);
        if (mapped.status != Status::NoPageTable) return outcome(mapped.status);
        const auto slot = keeper_->take();
        if (!slot) return std::unexpected{slot.error()};
        const auto level = static_cast<unsigned>(mapped.r0);
        if (const auto status = cap::sys::retype(memory_, abi::ObjectType::PageTable,
                                                 abi::table_size_arg(abi::TableKind::Host, level), *slot);
            status != Status::Ok)
            return std::unexpected{status};
        if (const auto status = cap::sys::table_map(root_, *slot, address); status != Status::Ok)
            return std::unexpected{status};
    }
    return std::unexpected{Status::NoPageTable};
}

Outcome AddressSpace::write(CapAddr frame, unsigned bits, uint64_t offset, const Fill& fill) {
    auto copy = env_->cspace.copy<cap::Frame>(frame, abi::rights::kRead | abi::rights::kWrite);
    if (!copy) return std::unexpected{copy.error()};
    auto mapping = env_->mapper.map(copy->address(), bits, abi::map::kRead | abi::map::kWrite);
    if (!mapping) return std::unexpected{mapping.error()};
    fill(offset, {mapping->data(), size_t{1} << bits});
    return {};
}

Outcome AddressSpace::map_new(uint64_t address, uint64_t bytes, uint64_t flags, const Fill& fill) {
    for (uint64_t done = 0; done < bytes;) {
        const unsigned bits = piece_bits(address + done, bytes - done);
        const auto slot = keeper_->take();
        if (!slot) return std::unexpected{slot.error()};
        if (const auto status = cap::sys::retype(memory_, abi::ObjectType::Frame, bits, *slot);
            status != Status::Ok)
            return std::unexpected{status};
        if (fill)
            if (auto written = write(*slot, bits, done, fill); !written) return written;
        if (auto mapped = map(*slot, address + done, flags); !mapped) return mapped;
        done += uint64_t{1} << bits;
    }
    return {};
}

Outcome AddressSpace::map_pages(CapAddr first, uint64_t address, uint64_t count, uint64_t flags,
                                uint64_t filled, const Fill& fill) {
    if (const auto status = cap::sys::retype(memory_, abi::ObjectType::Frame, abi::kPageBits, first, count);
        status != Status::Ok)
        return std::unexpected{status};
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t offset = uint64_t{i} * abi::kPageSize;
        if (offset < filled)
            if (auto written = write(first.plus(i), abi::kPageBits, offset, fill); !written) return written;
        if (auto mapped = map(first.plus(i), address + offset, flags); !mapped) return mapped;
    }
    return {};
}

Outcome AddressSpace::map_boot(const BootFrames& frames, uint64_t offset, uint64_t bytes, uint64_t address,
                               uint64_t flags) {
    const uint8_t rights =
        static_cast<uint8_t>(abi::rights::kRead | ((flags & abi::map::kExecute) ? abi::rights::kExecute : 0));
    for (uint64_t done = 0; done < bytes;) {
        const auto piece = frames.piece_at(offset + done, bytes - done, address + done);
        const auto slot = keeper_->take();
        if (!slot) return std::unexpected{slot.error()};
        if (const auto status =
                cap::sys::frame_mint(*slot, piece.frame, rights, piece.frame_offset, piece.bits);
            status != Status::Ok)
            return std::unexpected{status};
        if (auto mapped = map(*slot, address + done, flags); !mapped) return mapped;
        done += uint64_t{1} << piece.bits;
    }
    return {};
}

std::expected<CapAddr, Status> AddressSpace::map_copy(CapAddr frame, uint8_t rights, uint64_t address,
                                                      uint64_t flags) {
    const auto slot = keeper_->take();
    if (!slot) return std::unexpected{slot.error()};
    if (const auto status = cap::sys::cap_copy(*slot, frame, rights); status != Status::Ok)
        return std::unexpected{status};
    if (auto mapped = map(*slot, address, flags); !mapped) return std::unexpected{mapped.error()};
    return *slot;
}

}  // namespace bulkhead::supervisor
