// SPDX-License-Identifier: Apache-2.0
// What the machine layer keeps per CPU. In the kernel, GS points to it; the first members are known to
// assembly (layout.h).
//
//   window of one CPU (K_WINDOW_BASE side, guard pages unmapped):
//     | guard | stack 16 KiB | guard | NMI 4 KiB | guard | #MC 4 KiB | guard | #DF 4 KiB |
//
// The last word of each IST stack holds the CpuLocal's address, because user level may put anything into the
// GS base (FSGSBASE).
#pragma once

#include "kernel/arch/x86_64/descriptor.hpp"
#include "kernel/arch/x86_64/pcid.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/core/cpu.hpp"

namespace bulkhead::arch {

struct UpcallFrame {
    uint64_t rip, cs, rflags, rsp, ss;
};

struct CpuLocal {
    CpuLocal* self;
    core::Thread*
        loaded;  // whose FS, GS and FPU state is live: the thread that user mode will enter or was left from
    uint64_t scratch;           // the user's RAX between entry and its saving
    uint64_t stack;             // top for C++ code
    UpcallFrame* upcall_frame;  // &frame
    uint64_t host_vmcb;         // physical: for the host's part of VMSAVE's state
    uint64_t spare[2];
    uint64_t frame_room[64];  // stack for a fault of the upcall's IRETQ
    UpcallFrame frame;        // of the upcall path; RSP: the user's, from every `syscall`

    core::Cpu core;

    // What the CPU's registers hold besides.
    void* guest_fpu;  // nullptr: the loaded thread's floating-point state; else its guest's, for this area
    core::PageTable* root;  // nullptr: the kernel's own root
    uint64_t bit;           // 1 << core.id
    PcidCache pcids;
    uint64_t timer_deadline;  // as programmed; kDeadlineNever: off
    uint32_t apic_id;

    // Mailbox, written by the CPU that holds the kernel lock. `request` is a sequence: done == request means
    // idle.
    alignas(64) volatile uint32_t request;
    volatile uint32_t done;
    uint32_t request_kind;  // IpiRequest
    core::PageTable* request_root;
    uint64_t request_address, request_bytes;
    core::Thread* request_thread;

    alignas(64) arch::Counters counters;
    uint32_t online;
    alignas(64) Tss tss;
    uint64_t gdt[8];
    svm::HostState svm;
};

enum class EntryKind : uint32_t { None, Syscall, Exception, Interrupt, Guest };
enum class IpiRequest : uint32_t { None, FlushHost, LeaveGuest, Stop };

inline CpuLocal& local() {
    CpuLocal* p;
    asm volatile("mov %%gs:0, %0" : "=r"(p));
    return *p;
}

extern CpuLocal* cpu_locals[abi::kMaxCpus];
extern uint32_t cpu_count;

}  // namespace bulkhead::arch
