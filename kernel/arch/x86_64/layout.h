// SPDX-License-Identifier: Apache-2.0
// Numbers that assembly, the linker script and C++ share. C++ checks the offsets with static_assert
// (layout_check.cpp).
#pragma once

// Virtual memory of the kernel half:
//   ffff8000'00000000  direct map: physical memory at a fixed offset, cacheable, never executable, without
//   the kernel's own image ffffff00'00000000  windows: interrupt controllers (uncached), per-CPU stacks with
//   guard pages ffffffff'80000000  the image: physical address 0 of the link, wherever it was loaded
#define K_DIRECT_BASE 0xffff800000000000
#define K_WINDOW_BASE 0xffffff0000000000
#define K_IMAGE_BASE 0xffffffff80000000
#define K_LOAD_ADDRESS 0x200000

// Selectors. SYSRET wants user data before user code.
#define SEL_KCODE 0x08
#define SEL_KDATA 0x10
#define SEL_UDATA 0x23
#define SEL_UCODE 0x2b
#define SEL_TSS 0x30
#define SEL_SYSRET_BASE 0x18

// core's UserContext (kernel/core/arch.hpp)
#define UC_RAX 0
#define UC_RBX 8
#define UC_RCX 16
#define UC_RDX 24
#define UC_RSI 32
#define UC_RDI 40
#define UC_RBP 48
#define UC_R8 56
#define UC_R9 64
#define UC_R10 72
#define UC_R11 80
#define UC_R12 88
#define UC_R13 96
#define UC_R14 104
#define UC_R15 112
#define UC_RIP 120
#define UC_RSP 128
#define UC_RFLAGS 136
#define UC_FS_BASE 160
#define UC_GS_BASE 168
#define UC_BY_SYSCALL 176
#define UC_VECTOR 184
#define UC_ERROR 192
#define UC_ADDRESS 200

// core's Thread (kernel/core/thread.hpp): its UserContext comes first
#define TH_UPCALL 496
#define TH_FPU 1024

// CpuLocal (local.hpp), reached through GS
#define CL_SELF 0
#define CL_LOADED 8
#define CL_SCRATCH 16
#define CL_STACK 24
#define CL_UPCALL_FRAME 32  // pointer to the frame
#define CL_HOST_VMCB 40
#define CL_UPCALL_RIP 576  // words of the frame
#define CL_UPCALL_RSP 600

// System-call numbers that are the kernel's: [SYSCALL_FIRST, SYSCALL_END) as signed 64-bit numbers
#define SYSCALL_FIRST -0x10000
#define SYSCALL_END -0x10000 + 96
// Calls that entry code tries on fast paths
#define SYSCALL_NULL -0x10000 + 0
#define SYSCALL_CALL -0x10000 + 2
#define SYSCALL_REPLY_RECV -0x10000 + 3
#define SYSCALL_SIGNAL -0x10000 + 6
#define SYSCALL_WAIT -0x10000 + 7
#define SYSCALL_VCPU_RUN -0x10000 + 8
// MessageTag{kFaultLabel, 4, 0}
#define FAULT_TAG 0xfa0004
