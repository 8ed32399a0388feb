// SPDX-License-Identifier: Apache-2.0
#include "services/platform/tco_watchdog.hpp"

#include <algorithm>

namespace bulkhead::platform {
namespace {

enum Register : uint16_t {
    kReload = 0x00,
    kStatus1 = 0x04,
    kStatus2 = 0x06,
    kControl1 = 0x08,
    kTimer = 0x12
};
constexpr uint32_t kTimeout = 1 << 3, kSecondTimeout = 1 << 1;  // in status 1 and 2; writing 1 clears
constexpr uint32_t kHalted = 1 << 11;                           // in control 1
constexpr uint32_t kTimerMask = 0x3ff;
constexpr uint32_t kNoReboot = 1 << 5;  // General Control and Status (ICH9 data sheet, 10.1.75)

}  // namespace

std::string TcoWatchdog::start(uint64_t reset_ms) {
    if (!tco_ || !control_)
        return "no watchdog found: the chipset is none whose TCO timer Bulkhead knows (Intel ICH6 to 9 "
               "series)";
    *control_ = *control_ & ~kNoReboot;
    if (*control_ & kNoReboot)
        return "the chipset's No-Reboot strap is set: its TCO timer cannot reset this machine";
    ticks_ = static_cast<uint32_t>(std::clamp(reset_ms, kLeastMs, kMostMs) / kTwoTicksMs);
    const auto at = [&](Register reg) { return static_cast<uint16_t>(tco_.first + reg); };
    ports_.out(at(kControl1), 2, ports_.in(at(kControl1), 2) | kHalted);
    ports_.out(at(kStatus1), 2, kTimeout);
    ports_.out(at(kStatus2), 2, kSecondTimeout);
    ports_.out(at(kTimer), 2, (ports_.in(at(kTimer), 2) & ~kTimerMask) | ticks_);
    ports_.out(at(kReload), 2, 1);
    ports_.out(at(kControl1), 2, ports_.in(at(kControl1), 2) & ~kHalted);
    if ((ports_.in(at(kControl1), 2) & kHalted) || (ports_.in(at(kTimer), 2) & kTimerMask) != ticks_)
        return "the TCO timer does not take its settings";
    running_ = true;
    return {};
}

void TcoWatchdog::reload() {
    if (running_) ports_.out(static_cast<uint16_t>(tco_.first + kReload), 2, 1);
}

}  // namespace bulkhead::platform
