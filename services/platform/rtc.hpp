// SPDX-License-Identifier: Apache-2.0
// The wall clock of a PC: an MC146818-compatible real-time clock behind two I/O ports. Read once, when asked.
#pragma once

#include <cstdint>
#include <optional>

namespace bulkhead::platform {

class Cmos {
  public:
    virtual ~Cmos() = default;
    virtual uint8_t read(uint8_t index) = 0;
};

// Seconds since 1970-01-01T00:00:00Z, the clock taken to run in UTC. nullopt: no clock answers, or it never
// holds still.
std::optional<uint64_t> read_clock(Cmos& cmos);

}  // namespace bulkhead::platform
