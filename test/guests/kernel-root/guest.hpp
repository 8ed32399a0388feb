// SPDX-License-Identifier: Apache-2.0
// A small guest: one vCPU, 64 KiB of memory at 0, a doorbell.
#pragma once

#include "abi/vcpu.hpp"
#include "test/guests/kernel-root/resources.hpp"

namespace bulkhead::kernel_root {

struct Guest {
    CapAddr vcpu, root, state_frame, ram, guest_view, bell,
        ring;  // ring: the bell with badge 1; guest_view: the copy that the guest has
    abi::VcpuState* state;
    uint8_t* memory;
};

Guest make_guest(Resources&);
void reset_state(abi::VcpuState&, uint64_t ip);

}  // namespace bulkhead::kernel_root
