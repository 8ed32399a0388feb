// SPDX-License-Identifier: Apache-2.0
// What one CPU asks of another. The asker holds the kernel lock, so each mailbox has one request at a time.
#pragma once

#include "kernel/arch/x86_64/local.hpp"

namespace bulkhead::arch {

// Answers a pending request. True: this CPU's thread was stopped; it has to take the lock and call
// core::handle_resched.
bool service_mailbox(CpuLocal&, EntryKind);
bool lock_kernel_slow(CpuLocal&, EntryKind);
void halt_others();  // panic

}  // namespace bulkhead::arch
