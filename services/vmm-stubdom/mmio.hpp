// SPDX-License-Identifier: Apache-2.0
// Emulates one instruction that accessed memory which is not RAM: the LAPIC page, or nothing (reads give
// ones, writes are dropped, as on a bus). The instruction's bytes come from the guest and are decoded from a
// private copy.
#pragma once

#include <cstdint>
#include <string>

namespace bulkhead::vmm {

class Vm;
class Vcpu;

struct MmioExit {
    enum Outcome : uint8_t { Done, Retry, Cannot } outcome = Done;
    std::string text = {};  // Cannot: "cannot emulate 0f ae 38 at rip …"
};

MmioExit handle_mmio(Vm& vm, Vcpu& vcpu, uint64_t linear_rip);

}  // namespace bulkhead::vmm
