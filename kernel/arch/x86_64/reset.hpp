// SPDX-License-Identifier: Apache-2.0
// How this machine is reset; learned at boot, used once. Runs without any lock, with all other CPUs stopped.
#pragma once

#include <stdint.h>

namespace bulkhead::arch {

struct ResetPlan {
    bool known;          // boot has got far enough to fill this in
    bool never;          // "noreboot": stop instead
    uint8_t acpi_value;  // FADT: RESET_VALUE,
    uint16_t acpi_port;  // to be written to RESET_REG; 0: it has none in I/O space
};
extern ResetPlan reset_plan;

[[noreturn]] void reset_after_ms(uint64_t ms);

}  // namespace bulkhead::arch
