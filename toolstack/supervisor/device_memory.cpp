// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/device_memory.hpp"

#include <algorithm>

#include "toolstack/supervisor/boot_frames.hpp"

namespace bulkhead::supervisor {

std::expected<DeviceMemory, cap::Status> DeviceMemory::take(cap::Environment& env, const abi::RootInfo& root,
                                                            uint64_t base, uint64_t bytes) {
    DeviceMemory out{base, {}};
    const uint64_t first = base & ~(abi::kPageSize - 1),
                   end = (base + bytes + abi::kPageSize - 1) & ~(abi::kPageSize - 1);
    uint64_t covered = first;
    while (covered < end) {
        const abi::RootUntyped* const begin = root.untyped;
        const auto* found = std::find_if(begin, begin + root.untypeds, [&](const abi::RootUntyped& u) {
            return u.device && u.module == 0 && u.physical == covered;
        });
        if (found == begin + root.untypeds || covered + (uint64_t{1} << found->size_bits) > end)
            return std::unexpected{cap::Status::NoCapability};
        const cap::CapAddr memory{0, abi::root::kFirstUntyped + static_cast<uint32_t>(found - begin)};
        const uint64_t stop = covered + (uint64_t{1} << found->size_bits);
        while (covered < stop) {
            const unsigned bits = piece_bits(covered, stop - covered);
            const auto slot = env.cspace.slots().allocate();
            if (!slot) return std::unexpected{cap::Status::OutOfMemory};
            if (const auto status = cap::sys::retype(memory, abi::ObjectType::Frame, bits, *slot);
                status != cap::Status::Ok)
                return std::unexpected{status};
            out.frames.emplace_back(*slot, bits);
            covered += uint64_t{1} << bits;
        }
    }
    return out;
}

}  // namespace bulkhead::supervisor
