// SPDX-License-Identifier: Apache-2.0
// The virtual machine control block (AMD APM vol. 2, appendix B; fields' meaning in chapter 15).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace bulkhead::arch::svm {

struct VmcbSegment {
    uint16_t selector, attributes;
    uint32_t limit;
    uint64_t base;
};
static_assert(sizeof(VmcbSegment) == 16);

struct [[gnu::packed]] Vmcb {
    // -- control area
    uint16_t cr_read, cr_write, dr_read, dr_write;
    uint32_t exceptions, intercepts1, intercepts2, intercepts3;
    uint8_t reserved0[0x3c - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm, msrpm, tsc_offset;
    uint32_t asid, tlb_control;
    uint64_t interrupt_control;  // V_TPR 0-7, V_IRQ 8, V_INTR_PRIO 16-19, V_IGN_TPR 20, V_INTR_MASKING 24,
                                 // V_INTR_VECTOR 32-39
    uint64_t interrupt_shadow;
    uint64_t exit_code, exit_info1, exit_info2, exit_interrupt_info;
    uint64_t nested_control;  // NP_ENABLE 0
    uint8_t reserved1[0xa8 - 0x98];
    uint64_t event_injection;
    uint64_t nested_cr3;
    uint64_t lbr_control;
    uint32_t clean, reserved2;
    uint64_t next_rip;
    uint8_t fetched_bytes;
    uint8_t instruction[15];
    uint8_t reserved3[0x400 - 0xe0];
    // -- state save area
    VmcbSegment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved4[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved5;
    uint64_t efer;
    uint8_t reserved6[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved7[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved8[0x5f8 - 0x5e0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved9[0x668 - 0x648];
    uint64_t pat, debugctl, br_from, br_to, last_exception_from, last_exception_to;
    uint8_t reserved10[0x1000 - 0x698];
};
static_assert(sizeof(Vmcb) == 4096);
static_assert(offsetof(Vmcb, pause_threshold) == 0x3c && offsetof(Vmcb, iopm) == 0x40 &&
              offsetof(Vmcb, asid) == 0x58 && offsetof(Vmcb, interrupt_control) == 0x60);
static_assert(offsetof(Vmcb, exit_code) == 0x70 && offsetof(Vmcb, nested_control) == 0x90 &&
              offsetof(Vmcb, event_injection) == 0xa8 && offsetof(Vmcb, nested_cr3) == 0xb0);
static_assert(offsetof(Vmcb, clean) == 0xc0 && offsetof(Vmcb, next_rip) == 0xc8 &&
              offsetof(Vmcb, fetched_bytes) == 0xd0);
static_assert(offsetof(Vmcb, gdtr) == 0x460 && offsetof(Vmcb, tr) == 0x490 && offsetof(Vmcb, cpl) == 0x4cb &&
              offsetof(Vmcb, efer) == 0x4d0 && offsetof(Vmcb, cr4) == 0x548);
static_assert(offsetof(Vmcb, rip) == 0x578 && offsetof(Vmcb, rsp) == 0x5d8 && offsetof(Vmcb, rax) == 0x5f8 &&
              offsetof(Vmcb, cr2) == 0x640 && offsetof(Vmcb, pat) == 0x668);

namespace intercept1 {
inline constexpr uint32_t kIntr = 1u << 0, kNmi = 1u << 1, kInit = 1u << 3, kVintr = 1u << 4,
                          kCpuid = 1u << 18, kRsm = 1u << 19, kInvd = 1u << 22, kPause = 1u << 23,
                          kHlt = 1u << 24, kInvlpga = 1u << 26, kIo = 1u << 27, kMsr = 1u << 28,
                          kFerrFreeze = 1u << 30, kShutdown = 1u << 31;
}
namespace intercept2 {
inline constexpr uint32_t kVmrun = 1 << 0, kVmmcall = 1 << 1, kVmload = 1 << 2, kVmsave = 1 << 3,
                          kStgi = 1 << 4, kClgi = 1 << 5, kSkinit = 1 << 6, kWbinvd = 1 << 9,
                          kMonitor = 1 << 10, kMwait = 1 << 11, kMwaitArmed = 1 << 12, kXsetbv = 1 << 13,
                          kRdpru = 1 << 14;
}
namespace clean {
inline constexpr uint32_t kIntercepts = 1 << 0, kAsid = 1 << 2, kTpr = 1 << 3, kNested = 1 << 4,
                          kControlRegisters = 1 << 5, kDebugRegisters = 1 << 6, kTables = 1 << 7,
                          kSegments = 1 << 8, kCr2 = 1 << 9, kAll = 0x3ff;
}
namespace event {
inline constexpr uint64_t kValid = 1ull << 31, kErrorCode = 1 << 11, kTypeMask = 7 << 8;
inline constexpr unsigned kInterrupt = 0, kNmi = 2, kException = 3, kSoftware = 4;
}  // namespace event
namespace exit {
inline constexpr uint32_t kDr0Read = 0x20, kDr0Write = 0x30, kException = 0x40, kIntr = 0x60, kNmi = 0x61,
                          kSmi = 0x62, kInit = 0x63, kVintr = 0x64, kRdtsc = 0x6e, kCpuid = 0x72, kRsm = 0x73,
                          kInvd = 0x76, kPause = 0x77, kHlt = 0x78, kInvlpga = 0x7a, kIo = 0x7b, kMsr = 0x7c,
                          kShutdown = 0x7f, kVmrun = 0x80, kVmmcall = 0x81, kVmload = 0x82, kVmsave = 0x83,
                          kStgi = 0x84, kClgi = 0x85, kSkinit = 0x86, kWbinvd = 0x89, kMonitor = 0x8a,
                          kMwait = 0x8b, kMwaitArmed = 0x8c, kXsetbv = 0x8d, kRdpru = 0x8e,
                          kNestedPageFault = 0x400, kInvalid = 0xffffffff;
}
inline constexpr uint64_t kVirtualInterrupt = 1 << 8, kIgnoreTpr = 1 << 20, kInterruptMasking = 1 << 24,
                          kTprMask = 0xff;
inline constexpr uint32_t kTlbNothing = 0, kTlbFlushAll = 1, kTlbFlushThisGuest = 3;

}  // namespace bulkhead::arch::svm
