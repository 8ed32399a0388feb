// SPDX-License-Identifier: Apache-2.0
// From RAX to a handler. Every call ends here: status stored, or restarted; stale translations gone; the best
// thread chosen.
#include "kernel/core/fastpath.hpp"
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

using abi::Call;

constexpr uint64_t kSyscallLength = 2;  // 0f 05

Status sys_null(Cpu&, Thread&, UserContext&) {
    return Status::Ok;
}

struct Table {
    Handler handler[abi::kCallLimit];
    constexpr Table() : handler{} {
        set(Call::Null, sys_null);
        set(Call::Yield, sys_yield);
        set(Call::IpcCall, sys_call);
        set(Call::IpcReplyRecv, sys_reply_recv);
        set(Call::IpcRecv, sys_recv);
        set(Call::IpcReply, sys_reply);
        set(Call::Signal, sys_signal);
        set(Call::Wait, sys_wait);
        set(Call::VcpuRun, sys_vcpu_run);
        set(Call::CapCopy, sys_cap_copy);
        set(Call::CapMint, sys_cap_mint);
        set(Call::CapMove, sys_cap_move);
        set(Call::CapDelete, sys_cap_delete);
        set(Call::CapRevoke, sys_cap_revoke);
        set(Call::CapIdentify, sys_cap_identify);
        set(Call::Retype, sys_retype);
        set(Call::FrameMint, sys_frame_mint);
        set(Call::IoPortMint, sys_ioport_mint);
        set(Call::UntypedInfo, sys_untyped_info);
        set(Call::TableMap, sys_table_map);
        set(Call::FrameMap, sys_frame_map);
        set(Call::Unmap, sys_unmap);
        set(Call::ThreadSet, sys_thread_set);
        set(Call::ThreadStart, sys_thread_start);
        set(Call::ThreadSuspend, sys_thread_suspend);
        set(Call::ThreadResume, sys_thread_resume);
        set(Call::ThreadRead, sys_thread_read);
        set(Call::ThreadUpcall, sys_thread_upcall);
        set(Call::ThreadExit, sys_thread_exit);
        set(Call::SchedConfigure, sys_sched_configure);
        set(Call::SchedRead, sys_sched_read);
        set(Call::SchedPause, sys_sched_pause);
        set(Call::VcpuSet, sys_vcpu_set);
        set(Call::IrqClaim, sys_irq_claim);
        set(Call::IrqBind, sys_irq_bind);
        set(Call::IrqAck, sys_irq_ack);
        set(Call::PortIn, sys_port_in);
        set(Call::PortOut, sys_port_out);
        set(Call::TagSet, sys_tag_set);
        set(Call::InspectCaps, sys_inspect_caps);
        set(Call::InspectCounts, sys_inspect_counts);
        set(Call::LogWrite, sys_log_write);
        set(Call::LogRead, sys_log_read);
        set(Call::LogControl, sys_log_control);
        set(Call::DebugCounters, sys_debug_counters);
        set(Call::MachineReset, sys_machine_reset);
    }
    constexpr void set(Call call, Handler h) { handler[static_cast<size_t>(call)] = h; }
};
constinit const Table table;

// Not a kernel call: the thread's personality takes it, with all registers as `syscall` left them.
void upcall(Thread& t) {
    UserContext& u = t.user;
    if (t.upcall == 0) {
        u.rax = static_cast<uint64_t>(Status::NoSuchCall);
        return;
    }
    u.rcx = u.rip;
    u.r11 = u.rflags;
    u.rip = t.upcall;
    u.by_syscall = 0;
}

void copy_message(const UserContext& from, UserContext& to) {
    to.rsi = from.rsi;
    to.rdx = from.rdx;
    to.r10 = from.r10;
    to.r8 = from.r8;
    to.r9 = from.r9;
    to.rax = 0;
}

bool fast_run(Thread& t) {
    Vcpu* v = fast_vcpu_run(t, t.user.rdi, t.user.rsi);
    if (v == nullptr || (__atomic_load_n(&v->page->flags, __ATOMIC_RELAXED) & abi::VcpuState::kSyncOnly) != 0)
        return false;
    uint64_t field = 0;
    if (arch::vcpu_prepare(v->area(), *v->page, &field) != Status::Ok) return false;
    begin_run(t, *v);
    return true;
}

// The fast paths on registers in memory. False: nothing was done.
bool handle_fast(Cpu& cpu, Thread& t, uint64_t number) {
    UserContext& u = t.user;
    Thread* to = nullptr;
    bool resumed = false;  // a thread that had faulted: no message
    switch (number) {
        case static_cast<uint64_t>(Call::IpcCall): {
            const Called called = is_short_message(u.rsi) ? fast_call(cpu, t, u.rdi) : Called{};
            to = called.thread;
            if (to != nullptr) to->user.rdi = called.badge;
            break;
        }
        case static_cast<uint64_t>(Call::IpcReplyRecv):
            if (!is_short_message(u.rsi)) return false;
            to = fast_reply_recv(
                cpu, t, u.rdi, [&](Thread& faulter) { return resumed = fast_resume(faulter, u.rsi, u.rdx); });
            if (resumed) return true;
            break;
        case static_cast<uint64_t>(Call::Signal):
            if (!fast_signal(cpu, t, u.rdi)) return false;
            u.rax = 0;
            return true;
        case static_cast<uint64_t>(Call::Wait):
            if (const uint64_t bits = fast_wait(t, u.rdi); bits != 0) {
                u.rdx = bits;
                u.rax = 0;
                return true;
            }
            return false;
        case static_cast<uint64_t>(Call::VcpuRun): return fast_run(t);
        default: break;
    }
    if (to == nullptr) return false;
    copy_message(u, to->user);
    return true;
}

[[gnu::noinline]] void dispatch(Cpu& cpu, Thread& t, uint64_t number) {
    UserContext& u = t.user;
    if (number < abi::kCallLimit && table.handler[number] != nullptr) {
        const Status status = table.handler[number](cpu, t, u);
        if (status == Status::Restart) {
            u.rip -= kSyscallLength;
        } else {
            t.progress = 0;
            if (status != kBlocked) u.rax = static_cast<uint64_t>(status);
        }
        if (sys.tlb.pending()) sys.tlb.discharge();
    } else if (static_cast<int64_t>(u.rax) >= 0) {
        upcall(t);
    } else {
        u.rax = static_cast<uint64_t>(Status::NoSuchCall);
    }
    if (cpu.need_schedule != 0) schedule(cpu);
}

}  // namespace

void handle_syscall(Cpu& cpu) {
    sys.here = &cpu;
    Thread& t = *cpu.current;
    const uint64_t number = t.user.rax - static_cast<uint64_t>(abi::kSyscallBase);
    if (!handle_fast(cpu, t, number)) dispatch(cpu, t, number);
}

void dispatch_declined(Cpu& cpu) {
    sys.here = &cpu;
    Thread& t = *cpu.current;
    const uint64_t number = t.user.rax - static_cast<uint64_t>(abi::kSyscallBase);
    if (number == static_cast<uint64_t>(Call::Wait)) {  // most often it blocks: not through the table
        if (const Status status = sys_wait(cpu, t, t.user); status != kBlocked)
            t.user.rax = static_cast<uint64_t>(status);
        if (cpu.need_schedule != 0) schedule(cpu);
        return;
    }
    dispatch(cpu, t, number);
}

}  // namespace bulkhead::core
