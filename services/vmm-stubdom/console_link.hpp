// SPDX-License-Identifier: Apache-2.0
// The guest's console as console-stubdom's client. While the service is away or full, the guest's output
// waits in its own ring. Owned by the I/O thread.
#pragma once

#include <string>

#include "lib/ring/connection.hpp"
#include "services/vmm-stubdom/console_ring.hpp"

namespace bulkhead::vmm {

class ConsoleLink final : public ConsoleSink {
  public:
    ConsoleLink(ring::Hub& hub, cap::CapAddr endpoint) : connection_{hub, endpoint} {}
    cap::Status connect(const std::string& name);
    void poll(ConsoleRing* ring);  // input from the service; a lost connection is made again
    std::size_t write(std::string_view text) override;

  private:
    ring::Connection connection_;
    std::string name_;
};

}  // namespace bulkhead::vmm
