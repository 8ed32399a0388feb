// SPDX-License-Identifier: Apache-2.0
#include "services/platform/timers.hpp"

#include <array>
#include <catch2/catch.hpp>

using bulkhead::platform::middle_of_five;
using bulkhead::platform::tsc_khz_by;

namespace {

// A machine in which every look at a counter takes a microsecond.
struct World {
    uint64_t ns = 0;
    uint64_t tsc() const { return ns * 5 / 2; }  // 2.5 GHz
    uint64_t counter(uint64_t hertz, uint64_t start, uint64_t mask) {
        ns += 1000;
        return (start + ns * hertz / 1'000'000'000) & mask;
    }
    uint64_t measured(uint64_t hertz, uint64_t start, uint64_t mask) {
        return tsc_khz_by([&] { return counter(hertz, start, mask); }, hertz, mask, [&] { return tsc(); });
    }
};

}  // namespace

TEST_CASE("timers: a known TSC is measured by a PM timer and by HPETs, also across their wrapping") {
    for (const uint64_t hertz : {3'579'545u, 14'318'180u, 24'000'000u, 100'000'000u})
        for (const uint64_t mask : {0xff'ffffull, 0xffff'ffffull})
            for (const uint64_t start : {uint64_t{0}, mask - 1000, mask}) {
                const uint64_t khz = World{}.measured(hertz, start, mask);
                INFO(hertz << " Hz from " << start);
                CHECK(khz > 2'499'000);
                CHECK(khz < 2'501'000);
            }
}

TEST_CASE("timers: a counter that stands still, or is none, does not hold us") {
    CHECK(tsc_khz_by([] { return uint64_t{7}; }, 3'579'545, 0xff'ffff, [] { return uint64_t{0}; }) == 0);
    CHECK(tsc_khz_by([] { return uint64_t{7}; }, 0, 0xff'ffff, [] { return uint64_t{0}; }) == 0);
    CHECK(tsc_khz_by([] { return uint64_t{7}; }, 1'000'000'000'000, 0xff'ffff, [] { return uint64_t{0}; }) ==
          0);
}

TEST_CASE("timers: two measurements that were disturbed do not count, a missing counter does") {
    const auto middle = [](std::array<uint64_t, 5> values) {
        size_t at = 0;
        return middle_of_five([&] { return values[at++]; });
    };
    CHECK(middle({2500, 9000, 2501, 2499, 7000}) == 2501);
    CHECK(middle({2500, 2500, 0, 2500, 2500}) == 0);
}
