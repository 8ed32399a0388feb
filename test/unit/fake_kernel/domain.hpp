// SPDX-License-Identifier: Apache-2.0
// What a program on an ObjectKernel finds when it starts, and its Environment. Memory is the test's to give.
#pragma once

#include "abi/start.hpp"
#include "lib/cap/environment.hpp"
#include "test/unit/fake_kernel/object_kernel.hpp"

namespace fake {

struct Domain {
    explicit Domain(unsigned memory_bits) : kernel{memory_bits} {}

    ObjectKernel kernel;
    abi::KernelInfo info = [] {
        abi::KernelInfo made{};
        made.cpus = 2;
        made.tsc_khz = 1'000'000;
        for (auto& bytes : made.object_bytes) bytes = 512;
        made.object_bytes[static_cast<size_t>(ObjectType::PageTable)] = 8192;
        made.object_bytes[static_cast<size_t>(ObjectType::CNode)] = 128;
        return made;
    }();
    abi::StartInfo start = [this] {
        abi::StartInfo made{};
        made.kernel_info = reinterpret_cast<uint64_t>(&info);
        made.free_slots = {300, 8000};
        made.window = {ObjectKernel::kWindow, ObjectKernel::kWindowBytes};
        return made;
    }();
    cap::Environment env{start};
};

}  // namespace fake
