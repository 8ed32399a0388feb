// SPDX-License-Identifier: Apache-2.0
// The time of one vCPU: its timers (Xen's single-shot and periodic ones) and the three structures in guest
// memory that tell it the time: vcpu_time_info, the vDSO's copy of it, and the runstate.
//
// Owned by the vCPU's thread. Pointers into guest memory stay valid for the life of the VM. Because the TSC
// is never scaled or stopped, vcpu_time_info is written once per place and not at each entry.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "services/vmm-stubdom/pv_clock.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

inline constexpr uint64_t kNever = ~uint64_t{0};

class VcpuClock {
  public:
    explicit VcpuClock(const PvClock& clock) : clock_{clock} {}

    // A vcpu_time_info at `at` (32 bytes).
    void publish_time(std::byte* at) const;

    // Runstate. A registered area may cross a page: two pieces, 48 bytes together. `flag`:
    // VMASST_TYPE_runstate_update_flag.
    void set_runstate_area(std::span<std::byte> first, std::span<std::byte> second);
    void enter_runstate(int state, uint64_t now_tsc, bool flag);
    xenabi::RunstateInfo runstate() const { return runstate_; }
    uint64_t running_ns(uint64_t now_tsc) const;  // any thread; approximate

    // Timers, absolute system time in ns
    void set_singleshot(uint64_t system_ns) { singleshot_tsc_ = clock_.tsc_at(system_ns); }
    void stop_singleshot() { singleshot_tsc_ = kNever; }
    void set_periodic(uint64_t period_ns, uint64_t now_tsc);
    void stop_periodic() { periodic_tsc_ = kNever; }
    uint64_t deadline() const { return singleshot_tsc_ < periodic_tsc_ ? singleshot_tsc_ : periodic_tsc_; }
    bool expire(uint64_t now_tsc);  // true: VIRQ_TIMER is due
    void forget();                  // resume: areas and timers are gone

  private:
    void write_runstate(bool flag);

    const PvClock& clock_;
    uint64_t singleshot_tsc_ = kNever, periodic_tsc_ = kNever, period_ticks_ = 0;
    xenabi::RunstateInfo runstate_{RUNSTATE_offline, 0, 0, {}};
    std::atomic<uint64_t> running_ns_{0}, running_since_{0};
    std::span<std::byte> area_[2];
};

}  // namespace bulkhead::vmm
