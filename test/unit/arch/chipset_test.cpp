// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/chipset.hpp"

#include <catch2/catch.hpp>
#include <map>

using bulkhead::init::read_chipset;

TEST_CASE("chipset: the TCO timer of a known Intel chipset, and no other") {
    // As QEMU's q35: an ICH9.
    const std::map<uint32_t, uint32_t> ich9{
        {0x00, 0x29188086}, {0x08, 0x06010002}, {0x40, 0x601}, {0x44, 0x80}, {0xf0, 0xfed1c001}};
    const auto read = [&](uint32_t reg = 0, uint32_t value = 0) {
        auto config = ich9;
        if (value != 0) config[reg] = value;
        return read_chipset([&](uint32_t at) { return config.at(at); });
    };
    CHECK(read().tco == 0x660);
    CHECK(read().rcba == 0xfed1c000);
    CHECK(read(0x40, 0x401).tco == 0x460);
    const std::pair<uint32_t, uint32_t> others[] = {
        {0x00, 0x79011022},  // AMD's bridge
        {0x00, 0xffffffff},  // nothing there
        {0x08, 0x05800000},  // the 100 series' P2SB
        {0x40, 0x600},       // no I/O space
        {0x40, 0x001},       // at port 0: never set up
        {0x44, 0x01},        // not enabled
        {0xf0, 0xfed1c000},
    };
    for (const auto& [reg, value] : others) {
        INFO("register " << reg << " is " << value);
        CHECK(read(reg, value).tco == 0);
        CHECK(read(reg, value).rcba == 0);
    }
}
