// SPDX-License-Identifier: Apache-2.0
// The kernel's window area: uncached device registers and per-CPU stacks, with unmapped guard pages. Filled
// at boot only.
#pragma once

#include <stdint.h>

namespace bulkhead::arch {
void* map_mmio(uint64_t physical, uint64_t bytes);  // uncached; implemented by kernel/init
uint64_t map_stack(uint64_t bytes);                 // returns the top; a guard page below
}  // namespace bulkhead::arch
