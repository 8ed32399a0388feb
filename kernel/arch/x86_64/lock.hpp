// SPDX-License-Identifier: Apache-2.0
// The kernel lock: one ticket lock, in this one place, so that it can be split. Who spins on it keeps
// answering its mailbox (shoot-downs, stops), because the holder may be waiting for exactly that.
#pragma once

#include "kernel/arch/x86_64/ipi.hpp"
#include "kernel/arch/x86_64/local.hpp"

namespace bulkhead::arch {

struct TicketLock {
    alignas(64) uint32_t next;
    alignas(64) uint32_t serving;
};
extern TicketLock kernel_lock;

// False: while waiting, the entry was overtaken by a stop of the thread that made it; core::handle_resched is
// all that is left to do.
[[nodiscard]] inline bool lock_kernel(CpuLocal& cpu, EntryKind kind) {
    const uint32_t ticket = __atomic_fetch_add(&kernel_lock.next, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&kernel_lock.serving, __ATOMIC_ACQUIRE) == ticket) [[likely]]
        return true;
    return lock_kernel_slow(cpu, kind, ticket);
}
inline void unlock_kernel() {
    __atomic_store_n(&kernel_lock.serving, kernel_lock.serving + 1, __ATOMIC_RELEASE);
}

}  // namespace bulkhead::arch
