// SPDX-License-Identifier: Apache-2.0
// Floating-point state, switched eagerly: what is live in the CPU always belongs to the thread or the guest that runs next.
#pragma once

#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::arch {

inline void fpu_save(void* area) {
    const uint32_t low = static_cast<uint32_t>(features.xcr0), high = static_cast<uint32_t>(features.xcr0 >> 32);
    if (features.xsaveopt)
        asm volatile("xsaveopt64 (%0)" ::"r"(area), "a"(low), "d"(high) : "memory");
    else if (features.xsave)
        asm volatile("xsave64 (%0)" ::"r"(area), "a"(low), "d"(high) : "memory");
    else
        asm volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}
inline void fpu_load(const void* area) {
    const uint32_t low = static_cast<uint32_t>(features.xcr0), high = static_cast<uint32_t>(features.xcr0 >> 32);
    if (features.xsave)
        asm volatile("xrstor64 (%0)" ::"r"(area), "a"(low), "d"(high) : "memory");
    else
        asm volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

}  // namespace bulkhead::arch
