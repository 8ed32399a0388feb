// SPDX-License-Identifier: Apache-2.0
// What neither the firmware's tables nor a loader tell of the chipset, asked of the chipset itself: here, so
// that no stub domain needs the ports of PCI configuration space.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {

struct IntelChipset {
    uint32_t tco;   // first port of the TCO timer; 0: none that is known
    uint64_t rcba;  // physical address of the register block
};

// `config(reg)` reads a double word of the configuration space of PCI 00:1f.0, the LPC bridge of ICH6 to the
// 9 series (ICH9 data sheet, 13.1). From the 100 series on that function is another one, and no bridge.
template <typename Config>
IntelChipset read_chipset(const Config& config) {
    constexpr uint32_t kVendorIntel = 0x8086, kIsaBridge = 0x0601, kTcoOffset = 0x60;
    if ((config(0x00) & 0xffff) != kVendorIntel || config(0x08) >> 16 != kIsaBridge) return {};
    const uint32_t acpi_base = config(0x40), acpi_control = config(0x44), rcba = config(0xf0);
    const bool has_ports = (acpi_base & 1) != 0 && (acpi_control & 1 << 7) != 0;  // an I/O BAR, enabled
    if (!has_ports || (acpi_base & 0xff80) == 0 || (rcba & 1) == 0) return {};
    return {(acpi_base & 0xff80) + kTcoOffset, rcba & 0xffffc000};
}

void find_chipset(abi::BootInfo&);

}  // namespace bulkhead::init
