// SPDX-License-Identifier: Apache-2.0
// The TCO timer of Intel's chipsets (ICH9 data sheet, 13.9), from ICH6 to the 9 series: it resets the machine
// when it ran down twice without being reloaded, unless its No-Reboot bit is set and strapped so.
#pragma once

#include <string>

#include "services/platform/ports.hpp"

namespace bulkhead::platform {

class TcoWatchdog {
  public:
    // From the last reload to the reset. The timer counts 4 to 1023 ticks of 0.6 s, twice.
    static constexpr uint64_t kTwoTicksMs = 1200;
    static constexpr uint64_t kLeastMs = 4 * kTwoTicksMs, kMostMs = 1023 * kTwoTicksMs;
    static constexpr uint64_t kDefaultMs = 8 * kTwoTicksMs;
    static constexpr unsigned kReloadMs = 1000;

    // `tco`: the timer's 32 ports; `control`: General Control and Status in the chipset's memory, nullptr if
    // there is none.
    TcoWatchdog(IoPorts& ports, PortRange tco, volatile uint32_t* control)
        : ports_{ports}, tco_{tco}, control_{control} {}

    // Empty: it runs, for `reset_ms`, or as near below that as the timer can. Else a sentence that
    // says why not.
    std::string start(uint64_t reset_ms = kDefaultMs);
    void reload();
    bool running() const { return running_; }
    uint64_t reset_ms() const { return ticks_ * kTwoTicksMs; }

  private:
    IoPorts& ports_;
    const PortRange tco_;
    volatile uint32_t* const control_;
    uint32_t ticks_ = 0;
    bool running_ = false;
};

}  // namespace bulkhead::platform
