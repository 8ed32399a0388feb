// SPDX-License-Identifier: Apache-2.0
// The kernel lock: one lock, in this one place, so that it can be split. Who spins on it keeps answering its
// mailbox (shoot-downs, stops), because the holder may be waiting for exactly that.
#pragma once

#include "kernel/arch/x86_64/barging_lock.hpp"
#include "kernel/arch/x86_64/ipi.hpp"
#include "kernel/arch/x86_64/local.hpp"

namespace bulkhead::arch {

extern "C" BargingLock kernel_lock;  // entry.S takes it, too

// False: while waiting, the entry was overtaken by a stop of the thread that made it; core::handle_resched is
// all that is left to do.
[[nodiscard]] inline bool lock_kernel(CpuLocal& cpu, EntryKind kind) {
    if (kernel_lock.try_take()) [[likely]]
        return true;
    return lock_kernel_slow(cpu, kind);
}
inline void unlock_kernel() {
    kernel_lock.release();
}

}  // namespace bulkhead::arch
