// SPDX-License-Identifier: Apache-2.0
// A Multiboot 2 loader that keeps UEFI's boot services hands over a running firmware: this ends it, and keeps
// its last word about memory. Called by boot_entry_efi64 (boot.S) while the firmware's GDT, IDT and identity
// mappings are in force.
#pragma once

#include "kernel/init/multiboot.hpp"

extern "C" void leave_firmware(uint64_t multiboot_information);

namespace bulkhead::init {
const FirmwareMap& firmware_map();
}  // namespace bulkhead::init
