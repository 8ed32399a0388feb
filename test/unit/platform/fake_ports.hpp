// SPDX-License-Identifier: Apache-2.0
// I/O ports with little machines behind them, for platform's host tests.
#pragma once

#include <functional>
#include <map>

#include "services/platform/ports.hpp"

namespace platform_test {

class FakePorts : public bulkhead::platform::IoPorts {
  public:
    uint32_t in(uint16_t port, unsigned bytes) override {
        const uint32_t all = bytes == 4 ? ~uint32_t{0} : (uint32_t{1} << bytes * 8) - 1;
        const auto it = on_read.find(port);
        return it == on_read.end() ? all : it->second() & all;
    }
    void out(uint16_t port, unsigned, uint32_t value) override {
        writes++;
        if (const auto it = on_write.find(port); it != on_write.end()) it->second(value);
    }
    std::map<uint16_t, std::function<uint32_t()>> on_read;
    std::map<uint16_t, std::function<void(uint32_t)>> on_write;
    unsigned writes = 0;
};

}  // namespace platform_test
