// SPDX-License-Identifier: Apache-2.0
// The TSC's frequency, from CPUID or against the 8254 timer; and the local APIC timer's against the TSC.
#pragma once

#include <stdint.h>

namespace bulkhead::init {
uint64_t calibrate_clocks();  // kHz of the TSC; sets the LAPIC timer's ratio
void delay_us(uint64_t);      // after calibrate_clocks()
}  // namespace bulkhead::init
