// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/reset.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/core/kernel.hpp"

namespace bulkhead::arch {

ResetPlan reset_plan;

namespace {

constexpr uint64_t kPatienceMs = 200;  // for each way to take effect
constexpr uint16_t kResetControl = 0xcf9, kKeyboardStatus = 0x64, kDelay = 0x80;

void wait_ms(uint64_t ms) {
    const uint64_t end = rdtsc() + ms * core::sys.tsc_khz;
    while (rdtsc() < end) cpu_relax();
}

// Reset Control register of Intel's and compatible chipsets: bit 1 chooses a hard reset, then a rising bit 2
// does it.
void by_reset_control() {
    const uint8_t other = inb(kResetControl) & 0xf1;
    outb(kResetControl, other | 0x02);
    outb(kDelay, 0);
    outb(kResetControl, other | 0x06);
}

// The keyboard controller pulses its output line 0, which is the CPUs' reset.
void by_keyboard() {
    for (unsigned i = 0; i < 10000 && (inb(kKeyboardStatus) & 2) != 0; ++i) outb(kDelay, 0);
    outb(kKeyboardStatus, 0xfe);
}

// With no IDT an exception becomes a double fault and that a shutdown, which chipsets turn into a reset (SDM
// vol. 3, 6.15).
[[noreturn]] void by_triple_fault() {
    struct [[gnu::packed]] {
        uint16_t limit = 0;
        uint64_t base = 0;
    } none;
    for (;;) asm volatile("lidt %0\n\tint3" ::"m"(none));
}

}  // namespace

void reset_after_ms(uint64_t ms) {
    wait_ms(ms);
    if (reset_plan.acpi_port != 0) {
        outb(reset_plan.acpi_port, reset_plan.acpi_value);
        wait_ms(kPatienceMs);
    }
    by_reset_control();
    wait_ms(kPatienceMs);
    by_keyboard();
    wait_ms(kPatienceMs);
    by_triple_fault();
}

}  // namespace bulkhead::arch
