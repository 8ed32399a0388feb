// SPDX-License-Identifier: Apache-2.0
// What the machine's power button does: every guest is asked to shut down, as `xl shutdown -a -w` does, and
// when all have, or their time is over, the machine is switched off. A second press switches it off at once.
//
// Works in steps from dom0's idle function, so that the prompt and the guests go on meanwhile.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "toolstack/xl/backend.hpp"

namespace bulkhead::dom0 {

class OrderlyShutdown {
  public:
    static constexpr std::uint64_t kPatienceMs = 60'000;

    struct Parts {
        xl::Backend& backend;
        std::function<std::uint32_t()> presses;  // so far
        std::function<std::uint64_t()> now_ms;
        std::function<void(const std::string&)> say;  // a sentence, to whoever may read it
    };
    explicit OrderlyShutdown(Parts parts) : p_{std::move(parts)} {}

    // Looks whether there is something to do, and does it. Not re-entrant: a call from within one is ignored.
    void attend();
    // When attend() wants to be called at the latest, in now_ms()'s time; ~0: only when something happens.
    std::uint64_t due_ms() const {
        return running_ && !failed_ ? std::min(end_ms_, look_ms_) : ~std::uint64_t{0};
    }
    bool running() const { return running_; }

  private:
    void begin();
    void ask(const xl::DomainInfo& guest);
    void look();
    void switch_off();

    const Parts p_;
    std::uint32_t seen_ = 0;
    bool running_ = false, failed_ = false, inside_ = false;
    std::uint64_t end_ms_ = 0, look_ms_ = 0;
    std::set<xl::DomainId> waiting_;
};

}  // namespace bulkhead::dom0
