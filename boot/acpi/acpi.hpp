// SPDX-License-Identifier: Apache-2.0
// Reads what the kernel needs from ACPI tables into BootInfo: CPUs, I/O APICs and overrides (MADT), reset
// register, PM1 blocks, SCI and timer (FADT), the S5 sleep types (found in the DSDT without an AML
// interpreter), the HPET, how many IOMMUs there are. Runs in boot code that is discarded, on tables that
// firmware wrote: every access is checked against the table's length, every table against its checksum.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/bootinfo.hpp"

namespace bulkhead::boot {

// Physical memory as the parser sees it.
class PhysicalMemory {
  public:
    // `bytes` bytes at `physical`, or nullptr if that cannot be read.
    virtual const uint8_t* map(uint64_t physical, size_t bytes) = 0;

  protected:
    ~PhysicalMemory() = default;
};

enum class AcpiResult { Ok, NoRsdp, BadRsdp, NoRoot, NoMadt, BadMadt };
const char* acpi_result_text(AcpiResult);  // a sentence

// Looks in the BIOS areas (EBDA, 0xe0000..0xfffff); 0: none.
uint64_t find_rsdp(PhysicalMemory&);

// `boot_apic_id` becomes cpu[0]. A missing FADT, DSDT or S5 is no error: their fields stay 0.
AcpiResult parse_acpi(PhysicalMemory&, uint64_t rsdp, uint32_t boot_apic_id, abi::BootInfo&);

}  // namespace bulkhead::boot
