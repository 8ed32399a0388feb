// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/memory/page_walker.hpp"

#include <catch2/catch.hpp>

#include "test/unit/vmm-loader/test_ram.hpp"

namespace bulkhead::vmm {
namespace {

using test::TestRam;

constexpr std::uint64_t kPgWp = 0x8001'0001;

struct Tables {
    TestRam ram{0x100000};
    GuestMemory memory = ram.memory();

    void entry(std::uint64_t at, std::uint64_t value) { CHECK(memory.write(GuestPhys(at), value)); }
    [[nodiscard]] std::uint64_t at(std::uint64_t address) const {
        return *memory.read<std::uint64_t>(GuestPhys(address));
    }
    [[nodiscard]] auto walk(const PagingState& paging, std::uint64_t linear, Access access = Access::Read,
                            Privilege privilege = Privilege::Supervisor) const {
        return PageWalker(memory, paging).translate(linear, access, privilege);
    }
};

WalkFault fault(const std::expected<Translation, WalkFault>& result) {
    REQUIRE_FALSE(result);
    return result.error();
}

TEST_CASE("without paging an address is itself, within 32 bits") {
    Tables t;
    CHECK(t.walk({1, 0, 0, 0}, 0x1234)->address == GuestPhys(0x1234));
    CHECK(t.walk({1, 0, 0, 0}, 0x1'0000'1234)->address == GuestPhys(0x1234));
}

TEST_CASE("4-level paging: rights of all levels, large pages, accessed and dirty bits") {
    Tables t;
    const PagingState paging{kPgWp, 0x1000, 0x20, 0xd00};  // LME, LMA, NXE
    t.entry(0x1000, 0x2007);
    t.entry(0x2000, 0x3007);
    t.entry(0x2008, 0x4000'0087);  // 1 GiB page
    t.entry(0x3000, 0x4007);
    t.entry(0x3008, 0x20'0087);            // 2 MiB page
    t.entry(0x3010, 0x20'2087);            // with a reserved bit
    t.entry(0x4000, 0x5003);               // supervisor
    t.entry(0x4008, 0x6005);               // read-only, user
    t.entry(0x4010, 1ULL << 63 | 0x7003);  // no-execute

    CHECK(t.walk(paging, 0x123)->address == GuestPhys(0x5123));
    CHECK(t.walk(paging, 0x123)->bytes_left_in_page == 0x1000 - 0x123);
    CHECK(t.at(0x4000) == 0x5023);
    CHECK(t.walk(paging, 0x123, Access::Write)->address == GuestPhys(0x5123));
    CHECK(t.at(0x4000) == 0x5063);
    CHECK(t.at(0x3000) == 0x4027);
    CHECK(fault(t.walk(paging, 0x123, Access::Read, Privilege::User)) == WalkFault::Protection);
    CHECK(t.walk(paging, 0x1000, Access::Read, Privilege::User)->address == GuestPhys(0x6000));
    CHECK(fault(t.walk(paging, 0x1000, Access::Write)) == WalkFault::Protection);
    CHECK(t.walk({0x8000'0001, 0x1000, 0x20, 0xd00}, 0x1000, Access::Write)->address == GuestPhys(0x6000));
    CHECK(fault(t.walk(paging, 0x2000, Access::Execute)) == WalkFault::Protection);
    CHECK(fault(t.walk({kPgWp, 0x1000, 0x20, 0x500}, 0x2000)) == WalkFault::Reserved);
    CHECK(fault(t.walk(paging, 0x3000)) == WalkFault::NotPresent);
    CHECK(t.walk(paging, 0x21'2345)->address == GuestPhys(0x21'2345));
    CHECK(fault(t.walk(paging, 0x40'0000)) == WalkFault::Reserved);
    CHECK(t.walk(paging, 0x4123'4567)->address == GuestPhys(0x4123'4567));
    CHECK(fault(t.walk(paging, 0x0000'8000'0000'0000)) == WalkFault::NotCanonical);
    CHECK(fault(t.walk({kPgWp, 0x1000, 0x1020, 0xd00}, 0)) == WalkFault::Unsupported);
    CHECK(fault(t.walk({kPgWp, 0x7000'0000, 0x20, 0xd00}, 0)) == WalkFault::OutsideMemory);
}

TEST_CASE("a table that points to itself ends") {
    Tables t;
    t.entry(0x1000, 0x1007);
    CHECK(t.walk({kPgWp, 0x1000, 0x20, 0x500}, 0)->address == GuestPhys(0x1000));
}

TEST_CASE("PAE paging tolerates accessed and writable bits in the four top entries") {
    Tables t;
    const PagingState paging{kPgWp, 0x1020, 0x20, 0};
    t.entry(0x1020 + 8, 0x2021);
    t.entry(0x2000, 0x3003);
    t.entry(0x2008, 0x0060'0083);
    t.entry(0x3008, 0x5003);
    CHECK(t.walk(paging, 0x4000'1010, Access::Write)->address == GuestPhys(0x5010));
    CHECK(t.at(0x1028) == 0x2021);
    CHECK(t.walk(paging, 0x4020'0010)->address == GuestPhys(0x60'0010));
    CHECK(fault(t.walk(paging, 0x10)) == WalkFault::NotPresent);
}

TEST_CASE("32-bit paging: 4 KiB pages, 4 MiB pages with CR4.PSE only") {
    Tables t;
    CHECK(t.memory.write<std::uint32_t>(GuestPhys(0x1000), 0x2007));
    CHECK(t.memory.write<std::uint32_t>(GuestPhys(0x1004), 0x0080'2083));  // PSE-36: 33rd address bit
    CHECK(t.memory.write<std::uint32_t>(GuestPhys(0x2004), 0x7003));
    CHECK(t.walk({kPgWp, 0x1000, 0x10, 0}, 0x1abc)->address == GuestPhys(0x7abc));
    CHECK(t.walk({kPgWp, 0x1000, 0x10, 0}, 0x0040'0abc)->address == GuestPhys(0x1'0080'0abc));
    CHECK(fault(t.walk({kPgWp, 0x1000, 0, 0}, 0x0040'0abc)) == WalkFault::OutsideMemory);
}

TEST_CASE("copies cross pages and stop at the first that faults") {
    Tables t;
    const PagingState paging{kPgWp, 0x1000, 0x20, 0x500};
    t.entry(0x1000, 0x2007);
    t.entry(0x2000, 0x3007);
    t.entry(0x3000, 0x4007);
    t.entry(0x4000, 0x9003);
    t.entry(0x4008, 0x8003);
    const PageWalker walker(t.memory, paging);
    CHECK(copy_to_guest_virtual(walker, 0xffc, 0x1122334455667788ULL));
    CHECK(t.memory.read<std::uint32_t>(GuestPhys(0x9ffc)) == 0x55667788U);
    CHECK(t.memory.read<std::uint32_t>(GuestPhys(0x8000)) == 0x11223344U);
    std::uint64_t value = 0;
    CHECK(copy_from_guest_virtual(walker, 0xffc, value));
    CHECK(value == 0x1122334455667788);
    CHECK_FALSE(copy_from_guest_virtual(walker, 0x1ffc, value));
    std::array<std::byte, 15> code{};
    CHECK(walker.copy_in(0x1ffa, code, Access::Execute) == 6);
}

}  // namespace
}  // namespace bulkhead::vmm
