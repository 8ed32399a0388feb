// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/memory/guest_memory.hpp"

#include <catch2/catch.hpp>

#include "test/unit/vmm-loader/test_ram.hpp"

namespace bulkhead::vmm {
namespace {

using test::TestRam;

TEST_CASE("guest memory refuses segments that overlap, are unaligned, empty or wrap") {
    TestRam ram(0x4000);
    const auto create = [&](std::initializer_list<GuestMemory::Segment> list) {
        return GuestMemory::create({list.begin(), list.size()}).has_value();
    };
    CHECK(create({{GuestPhys(0), 0x1000, ram.host()}, {GuestPhys(0x1000), 0x1000, ram.host() + 0x2000}}));
    CHECK_FALSE(create({}));
    CHECK_FALSE(create({{GuestPhys(0), 0, ram.host()}}));
    CHECK_FALSE(create({{GuestPhys(0), 0x1000, nullptr}}));
    CHECK_FALSE(create({{GuestPhys(0x10), 0x1000, ram.host()}}));
    CHECK_FALSE(create({{GuestPhys(0), 0x800, ram.host()}}));
    CHECK_FALSE(create({{GuestPhys(0), 0x2000, ram.host()}, {GuestPhys(0x1000), 0x1000, ram.host()}}));
    CHECK_FALSE(create({{GuestPhys(0xffff'ffff'ffff'f000), 0x1000, ram.host()}}));
}

TEST_CASE("accesses end exactly at the end of a segment") {
    TestRam ram(0x2000, 0x10000);
    const GuestMemory memory = ram.memory();
    CHECK(memory.write<std::uint64_t>(GuestPhys(0x11ff8), 0x1122334455667788));
    CHECK(memory.read<std::uint64_t>(GuestPhys(0x11ff8)) == 0x1122334455667788);
    CHECK(memory.read<std::uint8_t>(GuestPhys(0x11fff)) == 0x11);
    CHECK(memory.read<std::uint32_t>(GuestPhys(0x11ffb)) == 0x22334455);  // unaligned
    CHECK_FALSE(memory.read<std::uint64_t>(GuestPhys(0x11ff9)));
    CHECK_FALSE(memory.read<std::uint8_t>(GuestPhys(0x12000)));
    CHECK_FALSE(memory.read<std::uint8_t>(GuestPhys(0xffff)));
    CHECK_FALSE(memory.read<std::uint64_t>(GuestPhys(~0ULL)));
    CHECK_FALSE(memory.span(GuestPhys(0x11000), ~0ULL));
    CHECK_FALSE(memory.span(GuestPhys(0xf000), 0x2000));
    CHECK_FALSE(memory.read<std::uint8_t>(Gfn(1ULL << 60).address()));
    CHECK(memory.span(GuestPhys(0x10000), 0x2000));
}

TEST_CASE("a copy across adjacent segments works, one into a hole copies nothing") {
    TestRam ram(0x4000);
    const GuestMemory::Segment list[] = {{GuestPhys(0), 0x1000, ram.host() + 0x3000},
                                         {GuestPhys(0x1000), 0x1000, ram.host()},
                                         {GuestPhys(0x8000), 0x1000, ram.host() + 0x1000}};
    const GuestMemory memory = *GuestMemory::create(list);
    std::array<std::byte, 16> bytes{};
    bytes.fill(std::byte{0x5a});
    CHECK(memory.copy_out(GuestPhys(0xff8), bytes));
    CHECK(ram.host()[0x3fff] == std::byte{0x5a});
    CHECK(ram.host()[7] == std::byte{0x5a});
    CHECK(ram.host()[8] == std::byte{0});
    std::array<std::byte, 16> back{};
    CHECK(memory.copy_in(GuestPhys(0xff8), back));
    CHECK(back == bytes);
    CHECK_FALSE(memory.copy_out(GuestPhys(0x1ff8), bytes));
    CHECK(ram.host()[0xff8] == std::byte{0});
    CHECK_FALSE(memory.copy_in(GuestPhys(0x1ff8), back));
    CHECK_FALSE(memory.copy_in(GuestPhys(0x2000), back));
}

TEST_CASE("bit operations report the former value and refuse unaligned or absent words") {
    TestRam ram(0x1000);
    const GuestMemory memory = ram.memory();
    CHECK(memory.test_and_set_bit(GuestPhys(0x800), 70) == false);
    CHECK(memory.test_and_set_bit(GuestPhys(0x800), 70) == true);
    CHECK(memory.test_bit(GuestPhys(0x800), 70) == true);
    CHECK(memory.read<std::uint64_t>(GuestPhys(0x808)) == 1ULL << 6);
    CHECK(memory.test_and_clear_bit(GuestPhys(0x800), 70) == true);
    CHECK(memory.test_bit(GuestPhys(0x800), 70) == false);
    CHECK_FALSE(memory.test_and_set_bit(GuestPhys(0x801), 0));
    CHECK_FALSE(memory.test_and_set_bit(GuestPhys(0x800), 0x800 * 8));
    CHECK(memory.compare_exchange<std::uint32_t>(GuestPhys(4), 0, 7) == 0U);
    CHECK(memory.compare_exchange<std::uint32_t>(GuestPhys(4), 0, 9) == 7U);
    CHECK(memory.exchange<std::uint32_t>(GuestPhys(4), 1) == 7U);
}

}  // namespace
}  // namespace bulkhead::vmm
