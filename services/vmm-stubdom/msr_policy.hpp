// SPDX-License-Identifier: Apache-2.0
// The MSRs of one vCPU that the kernel does not pass through. Known ones are emulated or read as constants;
// all others #GP, which Linux meets with its safe accessors only.
//
// Called by the vCPU's own thread; takes no lock. State lives in the state page (EFER, PAT, TSC_AUX), in the
// LAPIC and here (MTRR default type).
#pragma once

#include <cstdint>
#include <optional>

#include "abi/vcpu.hpp"
#include "services/vmm-stubdom/lapic.hpp"

namespace bulkhead::vmm {

struct MsrWrite {
    enum Kind : uint8_t { Done, Fault, HypercallPage, Lapic } kind = Done;
    LapicAction lapic{};
};

class MsrPolicy {
  public:
    std::optional<uint64_t> read(uint32_t msr, const abi::VcpuState& state, const Lapic& lapic,
                                 uint64_t now_tsc) const;  // nullopt: #GP
    MsrWrite write(uint32_t msr, uint64_t value, abi::VcpuState& state, Lapic& lapic, uint64_t now_tsc);

  private:
    static bool write_efer(uint64_t value, abi::VcpuState& state);
    static bool write_pat(uint64_t value, abi::VcpuState& state);
    uint64_t mtrr_default_ = 0xc00 | 6;  // enabled, fixed ranges enabled, write-back
};

}  // namespace bulkhead::vmm
