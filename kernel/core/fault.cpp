// SPDX-License-Identifier: Apache-2.0
// Exceptions of user level: continue at the registered landing, or become a call to the thread's fault
// endpoint, or suspend it.
#include "kernel/core/fastpath.hpp"
#include "kernel/core/kernel.hpp"
#include "kernel/core/log.hpp"

namespace bulkhead::core {

namespace {

constexpr uint64_t kGeneralProtection = 13, kPageFault = 14;

bool continue_at_landing(const Thread& t, UserContext& u) {
    if ((u.vector != kPageFault && u.vector != kGeneralProtection) || u.rip < t.fixup_start ||
        u.rip >= t.fixup_end)
        return false;
    u.rip = t.fixup_landing;
    return true;
}

}  // namespace

void transfer_fault(Thread& from, Thread& to) {
    to.user.rsi = abi::MessageTag{abi::kFaultLabel, 4, 0}.raw;
    to.user.rdx = from.user.rip;
    to.user.r10 = from.user.address;
    to.user.r8 = from.user.error;
    to.user.r9 = from.user.vector;
    to.user.rax = 0;
    if (to.buffer == nullptr || (from.lent_rights & rights::kControl) == 0) return;
    static_assert(__builtin_offsetof(abi::IpcBuffer, data) % alignof(abi::ThreadRegisters) == 0);
    save_registers(from, *reinterpret_cast<abi::ThreadRegisters*>(to.buffer->data));
}

void fault_unanswered(Thread& t, const char* why) {
    t.suspended = 1;
    t.state = ThreadState::Ready;  // so that ThreadResume repeats the instruction
    constexpr uint64_t kLineBytes = 200;
    if (!log_allowed(t.header.tag, kLineBytes)) return;  // whoever resumes it may do so in a loop
    LogLine line{t.header.tag};
    line.text("a thread is stopped by exception ").number(t.user.vector).text(": ").text(why);
    line.text("; rip ")
        .hex(t.user.rip)
        .text(" address ")
        .hex(t.user.address)
        .text(" error ")
        .hex(t.user.error)
        .text(" rsp ")
        .hex(t.user.rsp);
    line.end(abi::LogLevel::Error);
}

namespace {

bool load_registers_from(const Thread& replier, Thread& faulter) {
    if (replier.buffer == nullptr) return false;
    abi::ThreadRegisters registers;  // copied once: the page is shared with the replier's other threads
    __builtin_memcpy(&registers, replier.buffer->data, sizeof registers);
    return load_registers(faulter, registers);
}

}  // namespace

void fault_reply(Thread& faulter, Thread& replier) {
    if (fast_resume(faulter, replier.user.rsi, replier.user.rdx)) return;
    faulter.in_fault = 0;
    const uint64_t label = abi::MessageTag{replier.user.rsi}.label();
    if (label != abi::kFaultResumeRegs || !load_registers_from(replier, faulter)) faulter.suspended = 1;
}

void fault_raise(Cpu& cpu, Thread& t) {
    t.user.by_syscall = 0;
    const Slot& handler = t.slot[static_cast<size_t>(abi::ThreadSlot::FaultEndpoint)];
    if (handler.empty() || (handler.flags & kSlotGone) != 0) {
        block_current(cpu);
        fault_unanswered(t, "it has no fault handler");
        return;
    }
    t.in_fault = 1;
    (void)deliver_call(cpu, t, *handler.as<Endpoint>(), handler.badge,
                       handler.rights);  // always blocks: a fault goes to any CPU
}

void handle_exception(Cpu& cpu) {
    sys.here = &cpu;
    Thread& t = *cpu.current;
    if (const Called called = fast_fault(cpu, t); called.thread != nullptr) {
        transfer_fault(t, *called.thread);
        called.thread->user.rdi = called.badge;
        return;
    }
    if (!continue_at_landing(t, t.user)) fault_raise(cpu, t);
    if (cpu.need_schedule != 0) schedule(cpu);
}

}  // namespace bulkhead::core
