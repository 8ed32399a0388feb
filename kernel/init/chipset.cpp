// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/chipset.hpp"

#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::init {

void find_chipset(abi::BootInfo& info) {
    const IntelChipset found = read_chipset([](uint32_t reg) {
        constexpr uint32_t kLpcBridge = 0x80000000 | 0x1f << 11;
        arch::outl(0xcf8, kLpcBridge | reg);
        return arch::inl(0xcfc);
    });
    info.acpi.intel_tco = found.tco;
    info.acpi.intel_rcba = found.rcba;
}

}  // namespace bulkhead::init
