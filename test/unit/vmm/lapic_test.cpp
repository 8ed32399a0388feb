// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/lapic.hpp"

#include <catch2/catch.hpp>

#include "services/vmm-stubdom/pv_clock.hpp"

using namespace bulkhead::vmm;

namespace {
const PvClock kClock{1'000'000, 0};  // one tick a nanosecond

struct Enabled : Lapic {
    explicit Enabled(uint32_t id = 0) : Lapic{id, kClock, id == 0} { write(0xf0, 0x1ff, 0); }
};
}  // namespace

TEST_CASE("guest clock: scale, inverse, and no early expiry") {
    for (const uint64_t khz : {1'000'000ull, 2'893'202ull, 3'999'999ull, 100'000ull, 24'000ull}) {
        const PvClock clock{khz, 5000};
        CHECK(clock.system_ns(5000) == 0);
        CHECK(clock.system_ns(100) == 0);
        const uint64_t second = clock.system_ns(5000 + khz * 1000);
        CHECK(second > 999'999'000);
        CHECK(second <= 1'000'000'001);
        for (const uint64_t ns : {1ull, 999ull, 1'000'000ull, 123'456'789ull, 86'400'000'000'000ull})
            CHECK(clock.system_ns(clock.tsc_at(ns)) >= ns);
        CHECK(clock.tsc_at(~0ull) < ~0ull);
    }
}

TEST_CASE("lapic: a vector is delivered by priority, and ends by EOI") {
    Enabled lapic;
    CHECK(lapic.deliverable() == -1);
    CHECK(lapic.post(0x31));
    CHECK_FALSE(lapic.post(0x31));
    CHECK(lapic.post(0xec));
    CHECK(lapic.deliverable() == 0xec);
    lapic.accept(0xec);
    CHECK(lapic.read(0x170, 0) == (1u << 12));
    CHECK(lapic.deliverable() == -1);  // 0x31 is below what is in service
    CHECK(lapic.read(0xa0, 0) == 0xe0);
    lapic.write(0xb0, 0, 0);
    CHECK(lapic.deliverable() == 0x31);
    lapic.write(0x80, 0x30, 0);
    CHECK(lapic.deliverable() == -1);  // the task priority holds back its own class
    lapic.write(0x80, 0x20, 0);
    CHECK(lapic.deliverable() == 0x31);
}

TEST_CASE("lapic: nothing is delivered while it is disabled by software, and enabling it says so") {
    Lapic lapic{0, kClock, true};
    lapic.post(0x40);
    CHECK(lapic.deliverable() == -1);
    CHECK(lapic.write(0xf0, 0x1ff, 0).kind == LapicAction::SoftwareEnabled);
    CHECK(lapic.write(0xf0, 0x1ff, 0).kind == LapicAction::None);
    CHECK(lapic.deliverable() == 0x40);
    lapic.reset();
    CHECK_FALSE(lapic.any_requested());
}

TEST_CASE("lapic: ICR decodes what Linux sends to start an AP") {
    Enabled lapic;
    lapic.write(0x310, 3u << 24, 0);
    LapicAction a = lapic.write(0x300, 0xc500, 0);
    REQUIRE(a.kind == LapicAction::SendIpi);
    CHECK(a.ipi.mode == IpiMode::Init);
    CHECK(a.ipi.assert_level);
    CHECK(a.ipi.destination == 3);
    a = lapic.write(0x300, 0x8500, 0);
    CHECK_FALSE(a.ipi.assert_level);
    a = lapic.write(0x300, 0x69a, 0);
    CHECK(a.ipi.mode == IpiMode::Startup);
    CHECK(a.ipi.vector == 0x9a);
    CHECK(lapic.write(0x300, 0x5, 0).kind == LapicAction::None);  // vectors below 16 are an error
    CHECK(lapic.read(0x280, 0) == 0x20);
}

TEST_CASE("lapic: physical, flat, cluster and x2APIC destinations") {
    Enabled lapic{5};
    const auto hit = [&](uint32_t destination, bool logical, bool x2) {
        Ipi ipi;
        ipi.destination = destination;
        ipi.logical = logical;
        ipi.x2apic = x2;
        return lapic.accepts_destination(ipi);
    };
    CHECK(hit(5, false, false));
    CHECK_FALSE(hit(4, false, false));
    CHECK(hit(0xff, false, false));
    lapic.write(0xd0, 0x20000000, 0);
    CHECK(hit(0x30, true, false));
    CHECK_FALSE(hit(0x10, true, false));
    lapic.write(0xe0, 0x0fffffff, 0);
    lapic.write(0xd0, 0x12000000, 0);
    CHECK(hit(0x13, true, false));
    CHECK_FALSE(hit(0x23, true, false));
    CHECK(hit(1u << 5, true, true));
    CHECK_FALSE(hit(0x10000 | 1u << 5, true, true));
    CHECK(hit(0xffffffff, false, true));
}

TEST_CASE("lapic: x2APIC is entered once and has its own registers") {
    Enabled lapic{2};
    CHECK_FALSE(lapic.read_msr(0x802, 0));
    CHECK_FALSE(lapic.set_base_msr(kLapicBase | 0x400));  // not without the enable bit
    CHECK(lapic.set_base_msr(kLapicBase | 0xc00));
    CHECK(lapic.read_msr(0x802, 0) == 2);
    CHECK(lapic.read_msr(0x80d, 0) == 4);
    CHECK_FALSE(lapic.set_base_msr(kLapicBase | 0x800));
    CHECK_FALSE(lapic.set_base_msr(0xfed00000 | 0xc00));
    CHECK(lapic.write_msr(0x80e, 0, 0).kind == LapicAction::Fault);
    CHECK(lapic.write_msr(0x80b, 1, 0).kind == LapicAction::Fault);
    const LapicAction a = lapic.write_msr(0x83f, 0x44, 0);
    CHECK(a.ipi.shorthand == IpiShorthand::Self);
    CHECK(a.ipi.vector == 0x44);
    CHECK(lapic.write_msr(0x830, (uint64_t{0x10001} << 32) | 0x851, 0).ipi.destination == 0x10001);
}

TEST_CASE("lapic: the timer fires once or periodically, and drops missed periods") {
    Enabled lapic;
    lapic.write(0x3e0, 0xb, 0);  // divide by 1: 10 ns a count
    lapic.write(0x320, 0x50, 0);
    lapic.write(0x380, 100, 1000);
    CHECK(lapic.timer_deadline() == 2000);
    CHECK(lapic.read(0x390, 1500) == 50);
    lapic.timer_expired(1999);
    CHECK(lapic.deliverable() == -1);
    lapic.timer_expired(2000);
    CHECK(lapic.deliverable() == 0x50);
    CHECK(lapic.timer_deadline() == ~0ull);

    lapic.write(0x320, 0x20051, 0);
    lapic.write(0x380, 100, 10000);
    lapic.timer_expired(14500);
    CHECK(lapic.timer_deadline() == 15000);
    lapic.write(0x380, 0, 15000);
    CHECK(lapic.timer_deadline() == ~0ull);
}
