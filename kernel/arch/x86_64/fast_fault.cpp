// SPDX-License-Identifier: Apache-2.0
// An exception whose handler waits for it on this CPU. Compiled as svm/fast_guest.cpp: entry.S has stored all
// registers.
#include "kernel/arch/x86_64/load_root.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/core/fastpath.hpp"

namespace bulkhead::arch {

// With the lock held. Returned (RAX, RDX): the handler, which runs now, and the badge that it gets; entry.S
// gives it the rest of the message. nullptr: nothing was done.
extern "C" core::Called fast_fault(core::Thread* t) {
    CpuLocal& cpu = local();
    t->user.address = t->user.vector == 14 ? read_cr2() : 0;
    const core::Called called = core::fast_fault(cpu.core, *t);
    if (called.thread != nullptr && called.thread->root != cpu.root) load_root(cpu, called.thread->root);
    return called;
}

}  // namespace bulkhead::arch
