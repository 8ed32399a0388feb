// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/orderly_shutdown.hpp"

#include <algorithm>

#include "toolstack/xl/text.hpp"

namespace bulkhead::dom0 {
namespace {

constexpr std::uint64_t kLookMs = 500;

std::string counted(std::size_t number, const char* what) {
    return xl::format("%zu %s%s", number, what, number == 1 ? "" : "s");
}

}  // namespace

void OrderlyShutdown::attend() {
    if (inside_) return;
    inside_ = true;
    const std::uint32_t presses = p_.presses();
    const bool pressed = presses != seen_;
    seen_ = presses;
    if (pressed && running_) {
        p_.say("the power button was pressed again: switching off at once");
        switch_off();
    } else if (pressed) {
        begin();
    }
    if (running_ && !failed_) look();
    inside_ = false;
}

void OrderlyShutdown::begin() {
    running_ = true;
    failed_ = false;
    end_ms_ = p_.now_ms() + kPatienceMs;
    waiting_.clear();
    const auto domains = p_.backend.domains();
    std::vector<xl::DomainInfo> guests;
    if (domains)
        for (const auto& domain : *domains)
            if (domain.kind == xl::DomainKind::Guest && !domain.shutdown && !domain.dying)
                guests.push_back(domain);
    p_.say("the power button was pressed: shutting down " + counted(guests.size(), "guest") +
           ", then the machine");
    for (const auto& guest : guests) ask(guest);
}

void OrderlyShutdown::ask(const xl::DomainInfo& guest) {
    if (guest.paused) return p_.say(guest.name + " is paused and cannot shut down; it is cut off");
    const auto asked = p_.backend.shutdown(guest.id);
    if (asked)
        waiting_.insert(guest.id);
    else
        p_.say(guest.name + " cannot be asked to shut down (" + asked.error().sentence + ") It is cut off");
}

// Who is gone, or has ended and is kept, is done. One that its on_poweroff starts again has another ID, and
// is not waited for.
void OrderlyShutdown::look() {
    look_ms_ = p_.now_ms() + kLookMs;
    if (const auto domains = p_.backend.domains())
        std::erase_if(waiting_, [&](xl::DomainId id) {
            const auto it = std::ranges::find(*domains, id, &xl::DomainInfo::id);
            return it == domains->end() || it->shutdown || it->dying;
        });
    if (waiting_.empty()) {
        p_.say("all guests are down: switching off");
        return switch_off();
    }
    if (p_.now_ms() < end_ms_) return;
    p_.say(counted(waiting_.size(), "guest") +
           xl::format(" did not shut down within %llu s: switching off",
                      static_cast<unsigned long long>(kPatienceMs / 1000)));
    switch_off();
}

void OrderlyShutdown::switch_off() {
    const auto off = p_.backend.power_off_machine();
    failed_ = true;  // it returned
    if (!off) p_.say("the machine cannot be switched off: " + off.error().sentence);
}

}  // namespace bulkhead::dom0
