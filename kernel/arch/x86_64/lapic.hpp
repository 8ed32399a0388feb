// SPDX-License-Identifier: Apache-2.0
// The local APIC of this CPU, by MMIO (xAPIC) or MSRs (x2APIC): chosen once, by CPUID and what firmware left.
// Never disabled: it cannot be enabled again on some machines.
#pragma once

#include <stdint.h>

namespace bulkhead::arch {

struct CpuLocal;

inline constexpr uint8_t kFirstDeviceVector = 0x30,
                         kDeviceVectors = 0xa0;  // GSI n arrives as vector 0x30 + n
inline constexpr uint8_t kVectorTimer = 0xf0, kVectorResched = 0xf1, kVectorMailbox = 0xf2,
                         kVectorSpurious = 0xff;

namespace lapic {
void choose(uint64_t base);  // boot CPU: maps or selects; before init()
void init();                 // each CPU: enable, mask what is not used
uint32_t id();
void eoi();
void send(uint32_t apic_id, uint32_t icr_low);  // waits until the last one was delivered
void send_vector(uint32_t apic_id, uint8_t vector);
void send_nmi_to_others();
bool request_pending();  // an interrupt waits to be taken

// Timer: calibration gives ticks of the count register per TSC tick as a 32.32 fraction.
void timer_calibrate_begin();
uint32_t timer_calibrate_elapsed();
void timer_set_ratio(uint64_t ratio_32_32);
void timer_arm(uint64_t deadline_tsc, uint64_t now_tsc);
void timer_stop();
}  // namespace lapic

}  // namespace bulkhead::arch
