// SPDX-License-Identifier: Apache-2.0
// What the kernel has to know to reset this machine, from the firmware's tables and the options.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {

// Says on the console which wish of reboot= this machine cannot fulfil. While windows can still be mapped.
void plan_reset(const abi::BootInfo&);

}  // namespace bulkhead::init
