// SPDX-License-Identifier: Apache-2.0
// Leaving the kernel: makes the CPU hold the state of core's choice and goes there - user mode, a guest, or
// idle.
#pragma once

#include "kernel/core/arch.hpp"

namespace bulkhead::arch {

struct CpuLocal;

// With the lock held. Returns, without it, the context for exit_user; does not return when the CPU goes idle.
UserContext* leave_kernel(CpuLocal&);

// A thread is loaded. Makes the state of its guest live, or (nullptr) its own, saving what is live.
void fpu_switch(CpuLocal&, void* guest_area);

// Puts the live state of the loaded thread (FPU, or its guest's; FS and GS base) into memory. The thread is
// then not loaded.
void save_thread_state(CpuLocal&);

}  // namespace bulkhead::arch
