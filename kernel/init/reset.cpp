// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/reset.hpp"

#include "kernel/arch/x86_64/print.hpp"
#include "kernel/arch/x86_64/reset.hpp"
#include "kernel/arch/x86_64/window.hpp"
#include "kernel/init/bios.hpp"

namespace bulkhead::init {

void plan_reset(const abi::BootInfo& info) {
    constexpr uint64_t kBiosFlag = 0x472;
    const abi::BootOptions& chosen = info.chosen;
    arch::ResetPlan& plan = arch::reset_plan;
    plan.acpi_port = static_cast<uint16_t>(info.reset_register);
    plan.acpi_value = static_cast<uint8_t>(info.reset_value);
    plan.first = chosen.reboot_method;
    plan.warm = chosen.warm_reboot != 0;
    plan.never = chosen.noreboot != 0;
    // Of a BIOS, the first page is never memory (multiboot.cpp): it is mapped nowhere else.
    if (started_by_bios(info)) plan.bios_flag = static_cast<uint16_t*>(arch::map_mmio(kBiosFlag, 2));
    if (plan.first == abi::ResetMethod::Acpi && plan.acpi_port == 0)
        arch::kpanic_print(
            "kernel: option 'reboot=acpi': the firmware names no reset register that is an I/O port; other "
            "methods are used\n");
    if (plan.warm && plan.bios_flag == nullptr)
        arch::kpanic_print(
            "kernel: option 'reboot=warm': not supported without a BIOS, which alone would heed it\n");
}

}  // namespace bulkhead::init
