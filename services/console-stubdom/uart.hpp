// SPDX-License-Identifier: Apache-2.0
// A 16550A serial port, interrupt-driven in both directions (National Semiconductor PC16550D data sheet). The
// port itself is reached through `Ports`, so that the driver is tested on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace bulkhead::console {

class Ports {
  public:
    virtual ~Ports() = default;
    virtual uint8_t in(unsigned reg) = 0;
    virtual void out(unsigned reg, uint8_t value) = 0;
};

class Uart {
  public:
    static constexpr size_t kQueueBytes = 1024;

    // Leaves the line's speed as the kernel set it; turns on FIFOs and the receive interrupt. A port that
    // does not answer (all ones) is not present(): writes are then dropped.
    explicit Uart(Ports& ports);

    bool present() const { return present_; }
    size_t room() const { return kQueueBytes - queue_.size(); }
    // Queues what fits, returns how much that was.
    size_t write(std::span<const std::byte> bytes);
    // Call at every interrupt, before it is acknowledged: fills the transmitter and appends what was received
    // to `input`.
    void interrupt(std::vector<std::byte>& input);

  private:
    void pump();
    void set_interrupts();

    Ports& ports_;
    bool present_ = false;
    uint8_t enabled_ = 0;
    std::deque<std::byte> queue_;
};

}  // namespace bulkhead::console
