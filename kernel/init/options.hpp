// SPDX-License-Identifier: Apache-2.0
// The command line's way into BootInfo::chosen, and what the kernel itself does by it first.
#pragma once

#include "abi/bootinfo.hpp"
#include "kernel/init/early_memory.hpp"

namespace bulkhead::init {

// Fills info.chosen, opens the console that it names, and says there what of the options is not followed.
void choose_options(abi::BootInfo& info);

// Says so where the screen, as the loader left it, is not what vga= wishes.
void compare_screen(const abi::BootInfo& info);

// Gives the kernel log its final size. Needs the direct map.
void move_log(const abi::BootOptions&, EarlyMemory&);

}  // namespace bulkhead::init
