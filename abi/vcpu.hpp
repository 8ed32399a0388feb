// SPDX-License-Identifier: Apache-2.0
// The state page of a vCPU: how a VMM and the kernel talk about a guest CPU. One layout for SVM and VMX; the
// table "field - VMCB - VMCS - who validates" is in docs/abi.md. The kernel reads every input once, into the
// VMCB, and validates what protects the host; what protects only the guest is the VMM's business.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::abi {

enum class ExitReason : uint32_t {
    None = 0,
    Notified = 1,         // the bound notification was signalled; Status::Notified is returned as well
    Timeout = 2,          // the deadline passed
    Synced = 3,           // answer to VcpuState::kSyncOnly
    InterruptWindow = 4,  // asked for by want_window: the guest can take an external interrupt now
    Cpuid = 8,
    Hlt = 9,
    Io = 10,  // io_*; next_rip valid
    MsrRead = 11,
    MsrWrite = 12,
    Hypercall = 13,    // VMMCALL or VMCALL
    NestedFault = 14,  // guest_physical, fault_flags
    Shutdown = 15,     // triple fault
    Xsetbv = 16,
    Pause = 17,
    Wbinvd = 18,           // WBINVD or INVD
    Monitor = 19,          // MONITOR or MWAIT
    VirtInstruction = 20,  // VMRUN, VMLOAD, … or their VMX equals: the guest gets #UD
    Exception = 21,        // exit_code is 0x40 + vector (SVM numbering); #AC and #MC
    Rdtsc = 22,
    Other = 63,  // exit_code says which
};

// For people: crash reports and `trace`. The number may come from another domain.
constexpr const char* exit_name(ExitReason reason) {
    switch (reason) {
        case ExitReason::None: return "none";
        case ExitReason::Notified: return "notified";
        case ExitReason::Timeout: return "timeout";
        case ExitReason::Synced: return "synced";
        case ExitReason::InterruptWindow: return "window";
        case ExitReason::Cpuid: return "cpuid";
        case ExitReason::Hlt: return "hlt";
        case ExitReason::Io: return "io";
        case ExitReason::MsrRead: return "rdmsr";
        case ExitReason::MsrWrite: return "wrmsr";
        case ExitReason::Hypercall: return "hypercall";
        case ExitReason::NestedFault: return "nested fault";
        case ExitReason::Shutdown: return "triple fault";
        case ExitReason::Xsetbv: return "xsetbv";
        case ExitReason::Pause: return "pause";
        case ExitReason::Wbinvd: return "wbinvd";
        case ExitReason::Monitor: return "monitor";
        case ExitReason::VirtInstruction: return "virtualization instruction";
        case ExitReason::Exception: return "exception";
        case ExitReason::Rdtsc: return "rdtsc";
        case ExitReason::Other: return "other";
    }
    return "unknown";
}

// Segment attributes are in the VMCB's packed 12-bit form (APM vol. 2, 15.5.1): type, S, DPL, P, AVL, L, D/B,
// G; bit 16: unusable (VMX).
struct SegmentState {
    uint16_t selector, attributes;
    uint32_t limit;
    uint64_t base;
};
static_assert(sizeof(SegmentState) == 16);

struct VcpuState {
    // -- general: saved at every exit, loaded at every entry
    uint64_t gpr[16];  // rax rcx rdx rbx rsp rbp rsi rdi r8..r15 (the encoding order of ModRM)
    uint64_t rip, rflags;

    // -- exit: written by the kernel at every exit
    ExitReason reason;
    uint32_t cpl;
    uint64_t exit_code;       // the hardware's own number, for messages
    uint64_t next_rip;        // of the instruction that exited, or 0 when the CPU does not tell
    uint64_t guest_physical;  // NestedFault
    uint64_t fault_flags;     // NestedFault: page-fault error code bits; bit 32 final access, bit 33 during a
                              // table walk
    uint16_t io_port;
    uint8_t io_bytes, io_in, io_string, io_rep, io_address_bytes, io_reserved;
    uint64_t interrupted_event;  // event whose delivery the exit interrupted (EXITINTINFO), to be injected
                                 // again, or 0
    uint32_t interrupt_shadow;   // in and out: 1 after STI or MOV SS
    uint8_t fetched_bytes;       // 0, or how many of instruction[] the CPU delivered (decode assists)
    uint8_t instruction[15];
    uint32_t exit_reserved[1];

    // -- controls: written by the VMM
    uint64_t inject;  // EVENTINJ: vector, type << 8, error-code valid << 11, valid << 31, error code << 32;
                      // cleared when taken
    uint32_t want_window;  // 1: exit with InterruptWindow as soon as the guest could take an interrupt
    uint32_t flags;        // kPauseExits, kSyncOnly, kFlushTlb
    uint64_t tsc_offset;
    uint64_t dirty;  // groups that the VMM changed: loaded at the next entry, then cleared by the kernel
    uint64_t want;   // groups to save at every exit besides kControl
    uint64_t valid;  // groups that were saved at this exit

    // -- kControl; pat is not saved, because a guest's access to it exits
    uint64_t cr0, cr2, cr3, cr4, efer, pat;
    // -- kSegments
    SegmentState es, cs, ss, ds, fs, gs, ldtr, tr;
    SegmentState gdtr, idtr;  // base and limit
    // -- kMsrs
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, tsc_aux;
    // -- kDebug
    uint64_t dr6, dr7;
    // -- kXcr0
    uint64_t xcr0;

    // groups
    static constexpr uint64_t kControl = 1, kSegments = 2, kMsrs = 4, kDebug = 8, kXcr0 = 16, kAllGroups = 31;
    // flags
    static constexpr uint32_t kPauseExits = 1;  // exit on PAUSE
    static constexpr uint32_t kSyncOnly = 2;  // do not enter: save all groups, clear this flag, return Synced
    static constexpr uint32_t kFlushTlb =
        4;  // the VMM changed the nested table for the worse; cleared when done
};
static_assert(sizeof(VcpuState) <= 4096);
static_assert(offsetof(VcpuState, rip) == 128);

// A vCPU starts in the architectural reset state only if the VMM writes it: before the first run everything
// is zero and all groups are dirty.

}  // namespace bulkhead::abi
