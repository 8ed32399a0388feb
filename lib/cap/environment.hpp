// SPDX-License-Identifier: Apache-2.0
// What a program makes once in main() and passes on: its slots, its memory, its window, its clock. Every
// member is thread-safe.
#pragma once

#include "lib/cap/clock.hpp"
#include "lib/cap/mapper.hpp"
#include "lib/cap/start.hpp"

namespace bulkhead::cap {

struct Environment {
    explicit Environment(const abi::StartInfo& info)
        : start{info},
          kernel{kernel_info(info)},
          clock{kernel.tsc_khz},
          cspace{0, info.free_slots},
          memory{cspace, kernel, info.untyped},
          mapper{kOwnVSpace, info.window, memory} {}

    const abi::StartInfo& start;
    const abi::KernelInfo& kernel;
    TscClock clock;
    CSpace cspace;
    UntypedAllocator memory;
    Mapper mapper;
};

}  // namespace bulkhead::cap
