// SPDX-License-Identifier: Apache-2.0
// Builds the kernel's final page tables: direct map (NX), image (text RX, rodata R, data RW, boot code RWX
// until it is given up), windows for device registers and stacks.
#pragma once

#include "abi/bootinfo.hpp"
#include "kernel/init/early_memory.hpp"

namespace bulkhead::init {

void build_kernel_root(const abi::BootInfo&, EarlyMemory&);  // and loads it

}  // namespace bulkhead::init
