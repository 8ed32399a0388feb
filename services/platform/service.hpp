// SPDX-License-Identifier: Apache-2.0
// What platform's clients see: schema/platform.capnp. A badge with kControlRole (dom0's) may do all, others
// may ask the time.
#pragma once

#include <optional>
#include <utility>

#include "lib/cap/environment.hpp"
#include "lib/ring/listener.hpp"
#include "services/platform/granted_ports.hpp"

namespace bulkhead::platform {

class PlatformService final : public ring::Service {
  public:
    PlatformService(const abi::StartInfo& start, const cap::TscClock& clock, GrantedPorts& ports);
    void set_listener(ring::Listener& listener) { listener_ = &listener; }

    bool connected(ring::Client& client) override;
    bool message(ring::Client& client, std::span<const uint64_t> words) override;
    void signalled(uint64_t bits) override { signals_ |= bits; }
    // Bits of others than clients that were signalled since the last call.
    uint64_t take_signals() { return std::exchange(signals_, 0); }

    // The power button was pressed: dom0 is told, now and whenever it connects anew, for the machine is to go
    // down.
    void button_pressed();

  private:
    void fail(ring::Client& client, uint32_t number, const char* why);
    void time(ring::Client& client, uint32_t number);
    void timers(ring::Client& client, uint32_t number);
    uint64_t tsc_khz_by_pm_timer();
    uint64_t tsc_khz_by_hpet();
    void tell_button(ring::Client& client);
    // Both return only when it did not work.
    const char* power_off();
    const char* reset();

    const abi::StartInfo& start_;
    const cap::TscClock& clock_;
    GrantedPorts& ports_;
    ring::Listener* listener_ = nullptr;
    uint64_t tsc_at_start_ = 0;
    std::optional<uint64_t> seconds_at_start_;
    uint32_t presses_ = 0;
    uint64_t signals_ = 0;
};

}  // namespace bulkhead::platform
