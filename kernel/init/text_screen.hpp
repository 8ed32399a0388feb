// SPDX-License-Identifier: Apache-2.0
// A VGA in text mode, which a BIOS leaves behind and not every loader tells of.
#pragma once

#include "boot/acpi/acpi.hpp"

namespace bulkhead::init {

// Only if the machine was started by a BIOS and nobody named a framebuffer.
void find_text_screen(boot::PhysicalMemory&, abi::BootInfo&);

}  // namespace bulkhead::init
