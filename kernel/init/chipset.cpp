// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/chipset.hpp"

#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::init {
namespace {

constexpr uint32_t kLpcBridge = 0x80000000 | 0x1f << 11;  // PCI 00:1f.0
constexpr uint32_t kVendorIntel = 0x8086, kIsaBridge = 0x0601;

uint32_t config(uint32_t reg) {
    arch::outl(0xcf8, kLpcBridge | reg);
    return arch::inl(0xcfc);
}

}  // namespace

// Root Complex Base Address: register 0xf0 of the LPC bridge, bits 31:14, bit 0 enables (ICH9 data
// sheet, 13.1.35). From the 100 series on the function is another one's and the bit is not set.
void find_chipset(abi::BootInfo& info) {
    info.acpi.intel_rcba = 0;
    if ((config(0) & 0xffff) != kVendorIntel || config(8) >> 16 != kIsaBridge) return;
    const uint32_t rcba = config(0xf0);
    if ((rcba & 1) != 0) info.acpi.intel_rcba = rcba & 0xffffc000;
}

}  // namespace bulkhead::init
