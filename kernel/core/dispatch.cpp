// SPDX-License-Identifier: Apache-2.0
// From RAX to a handler. Every call ends here: status stored, or restarted; stale translations gone; the best
// thread chosen.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

using abi::Call;

constexpr uint64_t kSyscallLength = 2;  // 0f 05

struct Table {
    Handler handler[abi::kCallLimit];
    constexpr Table() : handler{} {
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

// Everything that is not over in a few instructions.
[[gnu::noinline]] void dispatch(Cpu& cpu, uint64_t number) {
    Thread& t = *cpu.current;
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
    switch (number) {
        case static_cast<uint64_t>(Call::Null): t.user.rax = 0; return;
        case static_cast<uint64_t>(Call::IpcCall):
            if (fast_call(cpu, t)) return;
            break;
        case static_cast<uint64_t>(Call::IpcReplyRecv):
            if (fast_reply_recv(cpu, t)) return;
            break;
        case static_cast<uint64_t>(Call::Signal):
            if (fast_signal(t)) return;
            break;
        case static_cast<uint64_t>(Call::VcpuRun):
            if (fast_vcpu_run(t)) return;
            break;
        default: break;
    }
    dispatch(cpu, number);
}

}  // namespace bulkhead::core
