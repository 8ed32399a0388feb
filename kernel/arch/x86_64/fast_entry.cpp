// SPDX-License-Identifier: Apache-2.0
// What entry.S calls for the system calls with a fast path, with the lock held.
//
// This file alone is compiled with RDI RSI RDX R8 R9 R10 set aside (meson.build): no code here touches them,
// so a message passes from one thread to the other without ever being stored. RBX and R12..R15, which entry.S
// has stored, are free in it; R11, RAX, RCX always are. It must call nothing.
#include "kernel/arch/x86_64/load_root.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/core/fastpath.hpp"

namespace bulkhead::arch {

namespace {

// core::is_short_message() of the tag where it is.
inline bool short_message() {
    bool is;
    asm("cmp $4, %%si" : "=@ccbe"(is));
    static_assert(abi::kRegisterWords == 4);
    return is;
}

// By the tag and the first word, where they are.
inline bool resume_as_told(core::Thread& faulter) {
    uint64_t tag, word;
    asm volatile("mov %%rsi, %0" : "=r"(tag));
    asm volatile("mov %%rdx, %0" : "=r"(word));
    return core::fast_resume(faulter, tag, word);
}

inline core::Thread* load_root_of(CpuLocal& cpu, core::Thread* to) {
    if (to->root != cpu.root) load_root(cpu, to->root);
    return to;
}

}  // namespace

// The endpoint is where the system call has it, in RDI. Returned: the thread that runs now; what it needs but
// its address space is entry.S's business. nullptr: nothing was done.
extern "C" core::Thread* fast_ipc_call(uint64_t endpoint, uint64_t, uint64_t, core::Thread* t) {
    CpuLocal& cpu = local();
    if (!short_message()) return nullptr;
    const core::Called called = core::fast_call(cpu.core, *t, endpoint);
    if (called.thread == nullptr) return nullptr;
    asm volatile("mov %0, %%rdi" ::"rm"(called.badge));
    return load_root_of(cpu, called.thread);
}
extern "C" core::Thread* fast_ipc_reply_recv(uint64_t endpoint, uint64_t, uint64_t, core::Thread* t) {
    CpuLocal& cpu = local();
    if (!short_message()) return nullptr;
    core::Thread* to = core::fast_reply_recv(cpu.core, *t, endpoint, resume_as_told);
    return to != nullptr ? load_root_of(cpu, to) : nullptr;
}

}  // namespace bulkhead::arch
