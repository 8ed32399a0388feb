// SPDX-License-Identifier: Apache-2.0
// The least ACPI that brings up every vCPU of a Linux guest with a timer: RSDP, XSDT, FADT
// (hardware-reduced), MADT with one local APIC per vCPU, and an empty DSDT. No interrupt controller, clock or
// bus besides the LAPICs is described, because a PVH guest has none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "services/vmm-stubdom/memory/guest_address.hpp"

namespace bulkhead::vmm {

struct AcpiTables {
    std::array<std::byte, 1024> bytes{};
    std::size_t size = 0;
};

// Tables as they must lie at `base`, the RSDP first. 1 <= vcpus <= kMaxVcpus: the processor UID is the
// vcpu_id (Linux maps one to the other by it), and so is the APIC ID (all vCPUs in one package).
[[nodiscard]] AcpiTables build_acpi_tables(GuestPhys base, unsigned vcpus);

}  // namespace bulkhead::vmm
