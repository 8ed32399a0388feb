// SPDX-License-Identifier: Apache-2.0
// The machine part of a vCPU: VMCB, what of the guest's state the VMCB lacks, and the guest's floating point.
// The general registers but RAX and RSP stay in the state page even while the guest runs: world switches load
// and store them there (the page cannot go away meanwhile: whoever takes it stops the vCPU first), so that an
// exit copies nothing.
//
//   page 0      Vmcb
//   page 1 ..   Guest, then the FPU area
#pragma once

#include "abi/vcpu.hpp"
#include "kernel/arch/x86_64/svm/asid.hpp"
#include "kernel/arch/x86_64/svm/vmcb.hpp"

namespace bulkhead::arch::svm {

struct Guest {
    uint64_t vmcb_physical;
    uint64_t dr[4];
    uint64_t xcr0, tsc_aux;
    AsidHeld asid;
    uint64_t key;        // as prepare() left it; 0: something is to be prepared (flush, TSC_AUX, DR0-3)
    uint64_t controls;   // control_word() of the state page that the VMCB stands for
    uint32_t last_cpu;   // 1 + number; 0: never ran
    uint8_t debug_live;  // DR0-3 are in the CPU: not intercepted
    uint32_t flush;      // the VMM asked for a flush, or the nested root changed
    alignas(64) uint8_t fpu[];
};

struct Area {
    Vmcb vmcb;
    Guest guest;
};
static_assert(offsetof(Area, guest) == 4096);

// What this machine lets a guest have. Filled at boot; tests fill their own.
struct Limits {
    uint64_t efer, cr4, xcr0, cr3;  // bits that may be set
    uint64_t pat_types;             // bit n: type n is allowed
    uint64_t next_rip;              // all ones: the CPU tells it, 0: it does not
    bool decode_assists, pause_filter;
};
extern Limits machine_limits;

}  // namespace bulkhead::arch::svm
