// SPDX-License-Identifier: Apache-2.0
// Floating-point state, switched eagerly: what is live in the CPU always belongs to the thread or the guest
// that runs next.
#pragma once

#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::arch {

// XCR0 is below 2^32, so EDX is 0. The fast paths of entry.S do the same.
inline void fpu_save(void* area) {
    const uint32_t mask = static_cast<uint32_t>(features.xcr0);
    asm volatile("xsaveopt64 (%0)" ::"r"(area), "a"(mask), "d"(0) : "memory");
}
inline void fpu_load(const void* area) {
    asm volatile("xrstor64 (%0)" ::"r"(area), "a"(static_cast<uint32_t>(features.xcr0)), "d"(0) : "memory");
}

}  // namespace bulkhead::arch
