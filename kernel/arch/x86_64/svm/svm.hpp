// SPDX-License-Identifier: Apache-2.0
// Running guests with AMD SVM (APM vol. 2, chapter 15). One way in: leave_kernel() calls run() for a thread
// that is in vcpu_run.
//
// Whatever ends a guest's turn, its whole state is in memory (VMCB, Guest, FPU area or this CPU's registers
// under CpuLocal::guest_fpu) before the kernel lock is asked for; so a stop needs nothing special, and
// entering again continues it.
#pragma once

#include "kernel/arch/x86_64/svm/asid.hpp"
#include "kernel/core/arch.hpp"

namespace bulkhead::arch {

struct CpuLocal;

namespace svm {

inline constexpr uint64_t kHostPages = 2;  // per CPU: VM_HSAVE area, and a VMCB for the host's VMSAVE state

// In CpuLocal.
struct HostState {
    uint64_t save_area;  // physical
    AsidPool asids;
    core::PageTable* guest_root;  // being used in guest mode right now (or just before, or just after)
    uint64_t key;                 // of the Guest that this CPU ran last
    uint64_t last_tag;            // domain of the guest that ran last
    uint64_t tsc_aux;
};

void use_ibpb(bool wanted);                   // before setup(): spec-ctrl=
void setup();                                 // boot CPU, once: permission maps, limits
void enable(CpuLocal&, uint64_t host_pages);  // each CPU, once
// Enters thread.guest; lock held before. The exit begins on a fresh stack (svm_exited).
[[noreturn]] void run(CpuLocal&, core::Thread&);

}  // namespace svm

}  // namespace bulkhead::arch
