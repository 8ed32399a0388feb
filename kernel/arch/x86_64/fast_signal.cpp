// SPDX-License-Identifier: Apache-2.0
// As fast_entry.cpp, for calls that cannot switch threads: entry.S stores nothing for them, so here RBX and
// R12..R15 are kept, as in any function.
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/core/fastpath.hpp"

namespace bulkhead::arch {

// 0: nothing was done.
extern "C" uint64_t fast_signal(uint64_t notification, uint64_t, uint64_t, core::Thread* t) {
    return core::fast_signal(local().core, *t, notification) ? 1 : 0;
}
extern "C" uint64_t fast_wait(uint64_t notification, uint64_t, uint64_t, core::Thread* t) {
    return core::fast_wait(*t, notification);
}

}  // namespace bulkhead::arch
