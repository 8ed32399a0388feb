// SPDX-License-Identifier: Apache-2.0
// Where entry.S arrives. Each function returns the context to leave with.
#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/interrupt.hpp"
#include "kernel/arch/x86_64/ioapic.hpp"
#include "kernel/arch/x86_64/ipi.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/lock.hpp"
#include "kernel/arch/x86_64/switch.hpp"
#include "kernel/core/thread.hpp"

extern "C" [[noreturn]] void wait_for_interrupt();

namespace bulkhead::arch {

void handle_interrupt_locked(CpuLocal& cpu, uint8_t vector) {
    switch (vector) {
        case kVectorTimer:
            lapic::eoi();
            cpu.timer_deadline = abi::kDeadlineNever;
            core::handle_timer(cpu.core, rdtsc());
            return;
        case kVectorResched:
            lapic::eoi();
            core::handle_resched(cpu.core);
            return;
        case kVectorMailbox: lapic::eoi(); return;
        case kVectorSpurious: return;
        default: break;
    }
    const uint32_t gsi = vector - uint32_t{kFirstDeviceVector};
    if (vector < kFirstDeviceVector || gsi >= kDeviceVectors) {
        lapic::eoi();
        return;
    }
    // Level: masked before EOI, or it would come again at once; the driver's IrqAck unmasks.
    if (ioapic::is_level(gsi)) irq_mask(gsi);
    lapic::eoi();
    core::handle_device_interrupt(cpu.core, gsi);
}

extern "C" UserContext* trap_from_user(CpuLocal* cpu) {
    UserContext* context = &cpu->loaded->user;
    const uint64_t vector = context->vector;
    if (vector < 32) {
        context->address = vector == 14 ? read_cr2() : 0;
        if (lock_kernel(*cpu, EntryKind::Exception))
            core::handle_exception(cpu->core);
        else
            core::handle_resched(cpu->core);
        return leave_kernel(*cpu);
    }
    if (vector == kVectorMailbox) {
        const bool stopped = service_mailbox(*cpu, EntryKind::Interrupt);
        lapic::eoi();
        if (!stopped) return context;
        static_cast<void>(lock_kernel(*cpu, EntryKind::None));
        core::handle_resched(cpu->core);
        return leave_kernel(*cpu);
    }
    const bool whole = lock_kernel(*cpu, EntryKind::Interrupt);
    handle_interrupt_locked(*cpu, static_cast<uint8_t>(vector));
    if (!whole) core::handle_resched(cpu->core);
    return leave_kernel(*cpu);
}

// An exception that fast_fault() left alone; with the lock held.
extern "C" UserContext* fault_declined(CpuLocal* cpu) {
    core::handle_exception(cpu->core);
    return leave_kernel(*cpu);
}

// From idle, or from take_interrupts() after a guest's turn: then the thread is still current.
extern "C" UserContext* interrupt_from_idle(CpuLocal* cpu, uint64_t vector) {
    if (vector == kVectorMailbox) {
        bool stopped = service_mailbox(*cpu, EntryKind::Guest);
        lapic::eoi();
        if (!stopped && cpu->core.current == nullptr) wait_for_interrupt();
        if (!lock_kernel(*cpu, EntryKind::Guest)) stopped = true;
        if (stopped) core::handle_resched(cpu->core);
        return leave_kernel(*cpu);
    }
    const bool whole = lock_kernel(*cpu, EntryKind::Guest);
    handle_interrupt_locked(*cpu, static_cast<uint8_t>(vector));
    if (!whole) core::handle_resched(cpu->core);
    return leave_kernel(*cpu);
}

// The interrupt that ended a guest's turn is gone.
extern "C" UserContext* no_interrupt(CpuLocal* cpu) {
    if (!lock_kernel(*cpu, EntryKind::Guest)) core::handle_resched(cpu->core);
    return leave_kernel(*cpu);
}

bool preemption_pending() {
    return lapic::request_pending();
}

void set_timer(uint64_t deadline_tsc) {
    CpuLocal& cpu = local();
    if (cpu.timer_deadline == deadline_tsc) return;
    cpu.timer_deadline = deadline_tsc;
    if (deadline_tsc == abi::kDeadlineNever)
        lapic::timer_stop();
    else
        lapic::timer_arm(deadline_tsc, rdtsc());
}

Counters counters(bool reset) {
    CpuLocal& cpu = local();
    const Counters c = cpu.counters;
    if (reset) cpu.counters = {};
    return c;
}

}  // namespace bulkhead::arch
