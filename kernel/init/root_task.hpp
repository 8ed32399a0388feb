// SPDX-License-Identifier: Apache-2.0
// Loads the supervisor (boot/root of the boot archive) and its personality (boot/blob) the way the supervisor
// will load everybody else.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {
void load_root_task(const abi::BootInfo&, uint64_t random);  // after core::boot::setup()
}  // namespace bulkhead::init
