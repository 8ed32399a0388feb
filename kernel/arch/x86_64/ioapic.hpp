// SPDX-License-Identifier: Apache-2.0
// I/O APICs: global interrupt n (GSI) becomes vector kFirstDeviceVector + n on CPU 0. All calls under the
// kernel lock.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::arch::ioapic {
void mask_legacy();               // the 8259 pair; before the local APIC stops listening to it
void init(const abi::BootInfo&);  // maps, masks everything
uint32_t gsi_limit();
bool is_level(uint32_t gsi);
}  // namespace bulkhead::arch::ioapic
