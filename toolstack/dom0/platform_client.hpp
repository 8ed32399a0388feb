// SPDX-License-Identifier: Apache-2.0
// Power and wall clock, from the platform service.
#pragma once

#include <map>

#include "toolstack/dom0/loop.hpp"
#include "toolstack/xl/error.hpp"

namespace bulkhead::dom0 {

class PlatformClient {
  public:
    struct Time {
        std::uint64_t tsc = 0, nanoseconds_utc = 0;
    };
    // kHz of the TSC by other clocks; 0: there is none.
    struct Timers {
        std::uint64_t by_pm_timer = 0, by_hpet = 0;
    };
    PlatformClient(Loop& loop, cap::CapAddr endpoint);
    void start() { link_.start(); }
    bool up() const { return link_.up(); }

    // How often the machine's power button was pressed, as far as we were told.
    std::uint32_t button_presses() const { return button_presses_; }

    xl::Result<Time> time();
    xl::Result<Timers> timers();
    xl::Result<void> power_off();  // both return only when it did not work
    xl::Result<void> reset();

  private:
    enum class Ask { Time, PowerOff, Reset, Timers };
    struct Answer {
        bool done = false;
        std::string error;
        Time time;
        Timers timers;
    };
    xl::Result<Answer> ask(Ask what);
    void on_message(std::span<const std::uint64_t> words);

    Loop& loop_;
    std::map<std::uint32_t, Answer> answers_;
    std::uint32_t next_request_ = 1, button_presses_ = 0;
    Link link_;
};

}  // namespace bulkhead::dom0
