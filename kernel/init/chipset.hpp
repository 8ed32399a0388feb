// SPDX-License-Identifier: Apache-2.0
// What neither the firmware's tables nor a loader tell of the chipset, asked of the chipset itself.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {

void find_chipset(abi::BootInfo&);

}  // namespace bulkhead::init
