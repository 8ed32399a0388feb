// SPDX-License-Identifier: Apache-2.0
// Holds layout.h to what C++ thinks.
#include "kernel/arch/x86_64/layout.h"

#include "kernel/arch/x86_64/local.hpp"
#include "kernel/core/thread.hpp"

namespace bulkhead::arch {
namespace {
#define SAME(number, type, member) static_assert((number) == offsetof(type, member))
SAME(UC_RAX, UserContext, rax);
SAME(UC_RBX, UserContext, rbx);
SAME(UC_RCX, UserContext, rcx);
SAME(UC_RDX, UserContext, rdx);
SAME(UC_RSI, UserContext, rsi);
SAME(UC_RDI, UserContext, rdi);
SAME(UC_RBP, UserContext, rbp);
SAME(UC_R8, UserContext, r8);
SAME(UC_R9, UserContext, r9);
SAME(UC_R10, UserContext, r10);
SAME(UC_R11, UserContext, r11);
SAME(UC_R12, UserContext, r12);
SAME(UC_R13, UserContext, r13);
SAME(UC_R14, UserContext, r14);
SAME(UC_R15, UserContext, r15);
SAME(UC_RIP, UserContext, rip);
SAME(UC_RSP, UserContext, rsp);
SAME(UC_RFLAGS, UserContext, rflags);
SAME(UC_FS_BASE, UserContext, fs_base);
SAME(UC_GS_BASE, UserContext, gs_base);
SAME(UC_BY_SYSCALL, UserContext, by_syscall);
SAME(UC_VECTOR, UserContext, vector);
SAME(UC_ERROR, UserContext, error);
SAME(UC_ADDRESS, UserContext, address);
SAME(CL_SELF, CpuLocal, self);
SAME(CL_LOADED, CpuLocal, loaded);
SAME(CL_SCRATCH, CpuLocal, scratch);
SAME(CL_STACK, CpuLocal, stack);
SAME(CL_UPCALL_FRAME, CpuLocal, upcall_frame);
SAME(CL_HOST_VMCB, CpuLocal, host_vmcb);
SAME(TH_UPCALL, core::Thread, upcall);
static_assert(TH_FPU == sizeof(core::Thread));
static_assert(CL_UPCALL_RIP == offsetof(CpuLocal, frame));
static_assert(CL_UPCALL_RSP == offsetof(CpuLocal, frame) + offsetof(UpcallFrame, rsp) &&
              offsetof(CpuLocal, frame) % 16 == 0);
static_assert((SYSCALL_FIRST) == abi::kSyscallBase && (SYSCALL_END) == abi::kSyscallBase + abi::kCallLimit);
#define NUMBER(number, call) static_assert((number) == abi::kSyscallBase + static_cast<int>(abi::Call::call))
NUMBER(SYSCALL_NULL, Null);
NUMBER(SYSCALL_CALL, IpcCall);
NUMBER(SYSCALL_REPLY_RECV, IpcReplyRecv);
NUMBER(SYSCALL_SIGNAL, Signal);
NUMBER(SYSCALL_WAIT, Wait);
NUMBER(SYSCALL_VCPU_RUN, VcpuRun);
static_assert(FAULT_TAG == abi::MessageTag{abi::kFaultLabel, 4, 0}.raw);
}  // namespace
}  // namespace bulkhead::arch
