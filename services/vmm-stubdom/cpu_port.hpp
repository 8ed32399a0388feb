// SPDX-License-Identifier: Apache-2.0
// What a vCPU needs of the machine below it: the kernel's vCPU object, its notification and the clock in
// production (kernel_cpu_port), a script in tests.
#pragma once

#include <cstdint>

#include "abi/vcpu.hpp"

namespace bulkhead::vmm {

class CpuPort {
  public:
    virtual ~CpuPort() = default;
    // The vCPU's own thread:
    virtual abi::VcpuState& state() = 0;
    virtual abi::ExitReason run(
        uint64_t deadline_tsc) = 0;  // enters the guest; None: the kernel refused what the VMM wrote
    virtual void sync() = 0;  // fetches every group into the state page, and changes nothing else there
    virtual void wait(uint64_t deadline_tsc) = 0;  // until kicked or the deadline; may return early
    virtual void yield() = 0;
    virtual uint64_t now_tsc() = 0;
    // Any thread:
    virtual void kick() = 0;  // ends run() or wait(), or the next one if none is under way
};

}  // namespace bulkhead::vmm
