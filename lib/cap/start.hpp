// SPDX-License-Identifier: Apache-2.0
// What this stub domain was given: the StartInfo page, found by the auxiliary vector. Read-only, so
// thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include "abi/bootinfo.hpp"
#include "abi/start.hpp"
#include "lib/cap/syscall.hpp"

namespace bulkhead::cap {

// nullptr when the program runs on something that is not Bulkhead.
const abi::StartInfo* start_info();
const abi::KernelInfo& kernel_info(const abi::StartInfo&);

// The capability that the manifest calls `name`, if there is one.
const abi::NamedCap* find_cap(const abi::StartInfo&, std::string_view name);
// The `index`-th whose name begins with `prefix` ("console-" finds "console-1", "console-2", …).
const abi::NamedCap* find_cap_prefix(const abi::StartInfo&, std::string_view prefix, unsigned index);

// What the boot code found and the operator chose (manifest: `boot-info { type = "boot-info"; }`); nullptr
// without the grant.
inline const abi::BootInfo* boot_info(const abi::StartInfo& start) {
    const abi::NamedCap* found = find_cap(start, "boot-info");
    return found ? reinterpret_cast<const abi::BootInfo*>(found->mapped.base) : nullptr;
}

inline CapAddr address(const abi::NamedCap& cap) {
    return CapAddr{0, cap.slot};
}

// Fixed slots of every domain.
inline constexpr CapAddr kOwnCNode{0, abi::start::kCNode}, kOwnVSpace{0, abi::start::kVSpace};
inline constexpr CapAddr kMainThread{0, abi::start::kThread}, kOwnSchedContext{0, abi::start::kSchedContext};
inline constexpr CapAddr kOwnLog{0, abi::start::kLog};

// A line into the kernel log, beside stdout. Truncated to what one call takes.
void log_line(std::string_view text, abi::LogLevel level = abi::LogLevel::Warning);

}  // namespace bulkhead::cap
