// SPDX-License-Identifier: Apache-2.0
// Between the state page and the VMCB. No privileged instruction: tested on the host.
//
// The page is memory of the VMM, which may write it at any moment: each input is read once. What VMRUN would
// not accept, or the host does not allow, is refused (VcpuInvalid); the intercepts and bits that protect the
// host are on whatever the page says.
#pragma once

#include "abi/vcpu.hpp"
#include "kernel/arch/x86_64/svm/guest.hpp"

namespace bulkhead::arch::svm {

void init_area(Area&, uint64_t vmcb_physical, uint64_t iopm_physical, uint64_t msrpm_physical);

// Inputs to VMCB and Guest. Not Ok: nothing changed, *field is the byte offset in VcpuState of the offender.
abi::Status load_state(Area&, abi::VcpuState&, const Limits& machine, uint64_t* field);

// Writes RAX, RSP, RIP, RFLAGS, kControl and the wanted groups (the other general registers are there
// already).
void save_state(const Area&, abi::VcpuState&, uint64_t groups);

// After #VMEXIT: what the exit means for the VMM, into the page.
void save_exit(const Area&, abi::VcpuState&, const Limits& machine);

// An event whose delivery was interrupted by an exit that the kernel deals with itself goes back into
// EVENTINJ (APM 15.20), unless executing the instruction again raises it again.
void requeue_interrupted_event(Vmcb&);

// VMRUN will deliver an external interrupt.
bool injects_interrupt(const Vmcb&);

}  // namespace bulkhead::arch::svm
