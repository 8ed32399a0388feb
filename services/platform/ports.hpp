// SPDX-License-Identifier: Apache-2.0
// I/O ports as platform's parts see them, so that they run on the host against a fake machine.
#pragma once

#include <cstdint>

namespace bulkhead::platform {

class IoPorts {
  public:
    virtual ~IoPorts() = default;
    // A port that was not granted reads as all ones and swallows writes, as one that nobody decodes.
    virtual uint32_t in(uint16_t port, unsigned bytes) = 0;
    virtual void out(uint16_t port, unsigned bytes, uint32_t value) = 0;
};

// A run of ports that the manifest granted by a name; none if count is 0.
struct PortRange {
    uint16_t first = 0;
    uint32_t count = 0;
    uint32_t extra = 0;  // what comes with it, docs/manifest.md
    explicit operator bool() const { return count != 0; }
};

}  // namespace bulkhead::platform
