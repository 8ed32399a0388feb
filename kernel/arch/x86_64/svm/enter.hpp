// SPDX-License-Identifier: Apache-2.0
// What the usual way into a guest (fast_guest.cpp) and the general one (svm.cpp) share.
#pragma once

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/lock.hpp"
#include "kernel/arch/x86_64/svm/guest.hpp"
#include "kernel/core/page_table.hpp"
#include "kernel/core/vcpu.hpp"

extern "C" [[noreturn]] void svm_enter(uint64_t vmcb, uint64_t* gpr);

namespace bulkhead::arch::svm {

inline Area& area_of(core::Vcpu& vcpu) {
    return *static_cast<Area*>(vcpu.area());
}

// The guest ran last on this CPU and this CPU ran it last, with the same nested table, from which nothing was
// taken since (epochs are unique among tables).
inline bool prepared(const CpuLocal& cpu, const Guest& guest, const core::PageTable& root) {
    return guest.key == cpu.svm.key && guest.asid.epoch == root.arch_word[0];
}

// Prepared, with its floating-point state in the registers and the lock held, which is given up.
[[noreturn, gnu::always_inline]] inline void enter(CpuLocal& cpu, const Guest& guest, abi::VcpuState& page,
                                                   core::PageTable& root) {
    cpu.svm.guest_root = &root;
    // From here to VMRUN nothing is lost: who signals this guest sends an IPI, which waits behind GIF and
    // ends the run at once.
    asm volatile("clgi" ::: "memory");
    unlock_kernel();
    if (guest.xcr0 != features.xcr0) xsetbv(guest.xcr0);
    svm_enter(guest.vmcb_physical, page.gpr);
}

// The less usual cases of fast_guest.cpp.
void run_changed(CpuLocal&, core::Thread&, core::Vcpu&);  // returns if sys_vcpu_run has to find out why not
UserContext* exited_generally(CpuLocal&);                 // without the lock
UserContext* run_ended(CpuLocal&, core::Thread&, abi::ExitReason);  // with it; the exit is reported

}  // namespace bulkhead::arch::svm
