// SPDX-License-Identifier: Apache-2.0
// AMD APM vol. 2, chapter 16; Intel SDM vol. 3, chapter 11.
#include "kernel/arch/x86_64/lapic.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/window.hpp"

namespace bulkhead::arch::lapic {
namespace {
constexpr uint32_t kId = 0x20, kTpr = 0x80, kEoi = 0xb0, kSvr = 0xf0, kIrr = 0x200, kIcrLow = 0x300,
                   kIcrHigh = 0x310, kLvtTimer = 0x320, kLvtThermal = 0x330, kLvtPerf = 0x340, kLvt0 = 0x350,
                   kLvt1 = 0x360, kLvtError = 0x370, kTimerInitial = 0x380, kTimerCurrent = 0x390,
                   kTimerDivide = 0x3e0;
constexpr uint32_t kMasked = 1 << 16, kNmiMode = 0x400, kExtInt = 0x700, kTscDeadlineMode = 2 << 17;
constexpr uint64_t kApicEnable = 1 << 11, kApicX2 = 1 << 10;

volatile uint32_t* mmio;
bool x2;
bool deadline_mode;
uint64_t ratio;

uint32_t read(uint32_t reg) {
    if (x2) return static_cast<uint32_t>(rdmsr(msr::kX2ApicFirst + (reg >> 4)));
    return mmio[reg / 4];
}
void write(uint32_t reg, uint32_t value) {
    if (x2) {
        wrmsr(msr::kX2ApicFirst + (reg >> 4), value);
        ++local().counters.wrmsr;
    } else {
        mmio[reg / 4] = value;
    }
}
}  // namespace

void choose(uint64_t base) {
    x2 = features.x2apic;
    deadline_mode = features.tsc_deadline;
    if (!x2) mmio = static_cast<volatile uint32_t*>(map_mmio(base, 4096));
}

void init() {
    uint64_t base = rdmsr(msr::kApicBase);
    if ((base & kApicEnable) == 0) base |= kApicEnable;
    if (x2) base |= kApicX2;
    if (base != rdmsr(msr::kApicBase)) wrmsr(msr::kApicBase, base);
    write(kSvr, 0x100 | kVectorSpurious);
    write(kLvtTimer, kMasked | kVectorTimer);
    write(kLvtPerf, kMasked);
    if (((read(0x30) >> 16) & 0xff) >= 5) write(kLvtThermal, kMasked);
    write(kLvt0, kMasked | kExtInt);  // the mode stays: an 8259 that withdraws a request is still heard
    write(kLvt1, kNmiMode);
    write(kLvtError, kMasked);
    write(kTpr, 0);
    if (deadline_mode)
        write(kLvtTimer, kTscDeadlineMode | kVectorTimer);
    else {
        write(kTimerDivide, 0xb);        // by 1
        write(kLvtTimer, kVectorTimer);  // on every CPU: only the first one calibrates
    }
    asm volatile("mfence" ::: "memory");
}

uint32_t id() {
    return x2 ? read(kId) : read(kId) >> 24;
}
void eoi() {
    write(kEoi, 0);
}

void send(uint32_t apic_id, uint32_t icr_low) {
    ++local().counters.ipi;
    if (x2) {
        asm volatile("mfence; lfence" ::: "memory");  // x2APIC writes are not serialising
        wrmsr(msr::kX2ApicFirst + (kIcrLow >> 4), (uint64_t{apic_id} << 32) | icr_low);
        return;
    }
    while ((read(kIcrLow) & (1 << 12)) != 0) cpu_relax();
    write(kIcrHigh, apic_id << 24);
    write(kIcrLow, icr_low);
}
void send_vector(uint32_t apic_id, uint8_t vector) {
    send(apic_id, 0x4000u | vector);
}
void send_nmi_to_others() {
    send(0, 0xc4400);
}

bool request_pending() {
    for (uint32_t i = 1; i < 8; ++i)
        if (read(kIrr + i * 0x10) != 0) return true;
    return false;
}

void timer_calibrate_begin() {
    write(kLvtTimer, kMasked | kVectorTimer);
    write(kTimerDivide, 0xb);
    write(kTimerInitial, ~0u);
}
uint32_t timer_calibrate_elapsed() {
    return ~0u - read(kTimerCurrent);
}
void timer_set_ratio(uint64_t ratio_32_32) {
    ratio = ratio_32_32;
    write(kTimerInitial, 0);
    write(kLvtTimer, (deadline_mode ? kTscDeadlineMode : 0) | kVectorTimer);
}

void timer_arm(uint64_t deadline_tsc, uint64_t now_tsc) {
    if (deadline_mode) {
        wrmsr(msr::kTscDeadline, deadline_tsc);
        ++local().counters.wrmsr;
        return;
    }
    const uint64_t delta = deadline_tsc > now_tsc ? deadline_tsc - now_tsc : 0;
    const unsigned __int128 scaled = (static_cast<unsigned __int128>(delta) * ratio) >> 32;
    const uint64_t ticks = static_cast<uint64_t>(scaled > 0xfffffffe ? 0xfffffffe : scaled);
    write(kTimerInitial, static_cast<uint32_t>(ticks) + 1);
}
void timer_stop() {
    if (deadline_mode)
        wrmsr(msr::kTscDeadline, 0);
    else
        write(kTimerInitial, 0);
}

}  // namespace bulkhead::arch::lapic
