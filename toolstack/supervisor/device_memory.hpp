// SPDX-License-Identifier: Apache-2.0
// A device's memory as Frames of the supervisor's, from the Untypeds of exactly its size that the kernel made
// for it (kernel/core/boot.cpp). Never mapped here.
#pragma once

#include <cstdint>
#include <expected>
#include <utility>
#include <vector>

#include "lib/cap/environment.hpp"

namespace bulkhead::supervisor {

struct DeviceMemory {
    uint64_t base = 0;  // physical, of the device
    std::vector<std::pair<cap::CapAddr, unsigned>>
        frames;  // and their size bits; in the order of addresses, without gaps

    // NoCapability: the kernel has no such device memory, because the firmware's memory map says that it is
    // something else.
    static std::expected<DeviceMemory, cap::Status> take(cap::Environment& env, const abi::RootInfo& root,
                                                         uint64_t base, uint64_t bytes);
};

inline uint64_t framebuffer_bytes(const abi::BootInfo& boot) {
    return boot.framebuffer.width == 0 ? 0 : uint64_t{boot.framebuffer.pitch} * boot.framebuffer.height;
}

}  // namespace bulkhead::supervisor
