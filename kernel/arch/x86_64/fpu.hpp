// SPDX-License-Identifier: Apache-2.0
// Floating-point state, switched eagerly: what is live in the CPU always belongs to the thread or the guest
// that runs next.
#pragma once

#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::arch {

// All that XCR0 enables, which is below 2^32. The fast paths of entry.S do the same.
inline void fpu_save(void* area) {
    asm volatile("xsaveopt64 %0" : "+m"(*static_cast<char*>(area)) : "a"(-1), "d"(0) : "memory");
}
inline void fpu_load(const void* area) {
    asm volatile("xrstor64 %0" ::"m"(*static_cast<const char*>(area)), "a"(-1), "d"(0) : "memory");
}

}  // namespace bulkhead::arch
