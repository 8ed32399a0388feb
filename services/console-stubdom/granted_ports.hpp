// SPDX-License-Identifier: Apache-2.0
// Registers of a device at I/O ports that the manifest granted, by one range or by one for each register.
#pragma once

#include <array>

#include "lib/cap/start.hpp"
#include "services/console-stubdom/uart.hpp"

namespace bulkhead::console {

// Register n is the n-th port of the range.
class PortRange final : public Ports {
  public:
    explicit PortRange(const abi::NamedCap& ports) : PortRange{&ports} {}
    // nullptr: nothing is there, as an empty bus answers.
    explicit PortRange(const abi::NamedCap* ports)
        : there_{ports != nullptr},
          ports_{ports ? cap::address(*ports) : cap::CapAddr{}},
          first_{static_cast<uint16_t>(ports ? ports->value & 0xffff : 0)} {}
    uint8_t in(unsigned reg) override {
        if (!there_) return 0xff;
        return static_cast<uint8_t>(cap::sys::port_in(ports_, static_cast<uint16_t>(first_ + reg), 1).r0);
    }
    void out(unsigned reg, uint8_t value) override {
        cap::drop(cap::sys::port_out(ports_, static_cast<uint16_t>(first_ + reg), 1, value));
    }

  private:
    const bool there_;
    const cap::CapAddr ports_;
    const uint16_t first_;
};

// Register 0 is the one's first port, register 1 the other's.
class PortPair final : public Ports {
  public:
    PortPair(const abi::NamedCap& zero, const abi::NamedCap& one) : part_{PortRange{zero}, PortRange{one}} {}
    uint8_t in(unsigned reg) override { return part_[reg & 1].in(0); }
    void out(unsigned reg, uint8_t value) override { part_[reg & 1].out(0, value); }

  private:
    std::array<PortRange, 2> part_;
};

}  // namespace bulkhead::console
