// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/reset.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/core/kernel.hpp"

namespace bulkhead::arch {

ResetPlan reset_plan;

namespace {

void wait_ms(uint64_t ms) {
    const uint64_t end = rdtsc() + ms * core::sys.tsc_khz;
    while (rdtsc() < end) cpu_relax();
}

const char* name_of(ResetMethod method) {
    switch (method) {
        case ResetMethod::Acpi: return "ACPI's reset register";
        case ResetMethod::Pci: return "port 0xcf9";
        case ResetMethod::Power: return "a power cycle by port 0xcf9";
        case ResetMethod::Keyboard: return "the keyboard controller";
        case ResetMethod::Triple: return "a triple fault";
        case ResetMethod::Default: break;
    }
    return "";
}

struct Machine {
    uint8_t in(uint16_t port) { return inb(port); }
    void out(uint16_t port, uint8_t value) { outb(port, value); }
    void delay() { outb(0x80, 0); }
    // With no IDT an exception becomes a double fault and that a shutdown, which chipsets turn into a reset
    // (SDM vol. 3, 6.15).
    [[noreturn]] void triple_fault() {
        struct [[gnu::packed]] {
            uint16_t limit = 0;
            uint64_t base = 0;
        } none;
        for (;;) asm volatile("lidt %0\n\tint3" ::"m"(none));
    }
    void missed(ResetMethod method) {
        constexpr uint64_t kPatienceMs = 200;
        wait_ms(kPatienceMs);
        kpanic_print("kernel: the machine ignored ", name_of(method), "; trying another reset\n");
    }
};

}  // namespace

void reset_after_ms(uint64_t ms) {
    wait_ms(ms);
    Machine machine;
    try_to_reset(reset_plan, machine);
    for (;;) asm volatile("cli\n\thlt");
}

}  // namespace bulkhead::arch
