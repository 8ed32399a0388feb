// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/fpu.hpp"

#include "kernel/core/arch.hpp"

namespace bulkhead::arch {

uint64_t fpu_bytes() {
    return features.xsave_bytes;
}

void fpu_init(void* area) {
    auto* bytes = static_cast<unsigned char*>(area);
    __builtin_memset(bytes, 0, features.xsave_bytes);
    // XSTATE_BV = 0 makes XRSTOR load initial states, but MXCSR comes from memory even so; FCW matters to
    // FXRSTOR.
    bytes[0] = 0x7f;
    bytes[1] = 0x03;
    bytes[24] = 0x80;
    bytes[25] = 0x1f;
}

}  // namespace bulkhead::arch
