// SPDX-License-Identifier: Apache-2.0
// The ports that the manifest granted, all behind one interface.
#pragma once

#include "lib/cap/start.hpp"
#include "services/platform/ports.hpp"

namespace bulkhead::platform {

class GrantedPorts final : public IoPorts {
  public:
    explicit GrantedPorts(const abi::StartInfo& start) : start_{start} {}

    PortRange range(const char* name) const {
        const abi::NamedCap* found = cap::find_cap(start_, name);
        return found && found->type == static_cast<uint32_t>(abi::ObjectType::IoPort) ? decode(*found)
                                                                                      : PortRange{};
    }
    uint32_t in(uint16_t port, unsigned bytes) override {
        const cap::Result read = cap::sys::port_in(holder(port, bytes), port, bytes);
        return read.ok() ? static_cast<uint32_t>(read.r0) : ~uint32_t{0};
    }
    void out(uint16_t port, unsigned bytes, uint32_t value) override {
        cap::drop(cap::sys::port_out(holder(port, bytes), port, bytes, value));
    }

  private:
    // NamedCap::value of ports: first | count << 16 | what comes with them << 40
    static PortRange decode(const abi::NamedCap& named) {
        return {static_cast<uint16_t>(named.value), static_cast<uint32_t>(named.value >> 16 & 0xffffff),
                static_cast<uint32_t>(named.value >> 40)};
    }
    cap::CapAddr holder(uint16_t port, unsigned bytes) const {
        for (uint32_t i = 0; i < start_.caps; i++) {
            if (start_.cap[i].type != static_cast<uint32_t>(abi::ObjectType::IoPort)) continue;
            const PortRange range = decode(start_.cap[i]);
            if (port >= range.first && port - range.first + bytes <= range.count)
                return cap::address(start_.cap[i]);
        }
        return {};
    }

    const abi::StartInfo& start_;
};

}  // namespace bulkhead::platform
