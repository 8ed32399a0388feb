// SPDX-License-Identifier: Apache-2.0
// The BIOS data area is a BIOS's only; under UEFI it is memory like any other.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {

// A BIOS puts its RSDP below 1 MiB (ACPI 6.4, 5.2.5.1).
inline bool started_by_bios(const abi::BootInfo& info) {
    return info.rsdp != 0 && info.rsdp < 0x100000;
}

}  // namespace bulkhead::init
