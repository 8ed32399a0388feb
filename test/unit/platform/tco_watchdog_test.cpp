// SPDX-License-Identifier: Apache-2.0
#include "services/platform/tco_watchdog.hpp"

#include <catch2/catch.hpp>

#include "test/unit/platform/fake_ports.hpp"

using namespace bulkhead::platform;

namespace {

constexpr uint16_t kTco = 0x660;

// An ICH9's TCO timer, which the test advances.
struct Chipset : platform_test::FakePorts {
    uint32_t control = 1 << 11, timer = 4, status1 = 8, status2 = 2, left = 4;
    volatile uint32_t general = 1 << 5;
    bool reset = false, deaf = false;
    Chipset() {
        on_read[kTco + 8] = [this] { return control; };
        on_write[kTco + 8] = [this](uint32_t v) { control = deaf ? control : v; };
        on_read[kTco + 0x12] = [this] { return timer; };
        on_write[kTco + 0x12] = [this](uint32_t v) { timer = v; };
        on_write[kTco] = [this](uint32_t) { left = timer & 0x3ff, status1 &= ~8u; };
        on_write[kTco + 4] = [this](uint32_t v) { status1 &= ~v; };
        on_write[kTco + 6] = [this](uint32_t v) { status2 &= ~v; };
    }
    void tick() {
        if ((control & 1 << 11) || --left != 0) return;
        if (status1 & 8) status2 |= 2, reset = (general & 1 << 5) == 0;
        status1 |= 8;
        left = timer & 0x3ff;
    }
};

constexpr PortRange kTcoPorts{kTco, 32, 0};

}  // namespace

TEST_CASE("watchdog: it resets a machine that stops reloading, in the time that it says, and no other") {
    Chipset chipset;
    TcoWatchdog watchdog{chipset, kTcoPorts, &chipset.general};
    REQUIRE(watchdog.start().empty());
    CHECK(watchdog.running());
    CHECK((chipset.status1 & 8) == 0);
    CHECK((chipset.status2 & 2) == 0);
    for (unsigned n = 0; n < 1000; n++) {
        chipset.tick();
        if (n % 2) watchdog.reload();
    }
    CHECK_FALSE(chipset.reset);
    unsigned ticks = 0;
    while (!chipset.reset && ticks < 100) chipset.tick(), ticks++;
    CHECK(chipset.reset);
    CHECK(ticks * 600 <= TcoWatchdog::kDefaultMs);
    CHECK(ticks * 600 > 2 * TcoWatchdog::kReloadMs);
}

TEST_CASE("watchdog: the time that is asked for, as far as the timer can wait") {
    const auto resets_after = [](uint64_t asked) {
        Chipset chipset;
        TcoWatchdog watchdog{chipset, kTcoPorts, &chipset.general};
        REQUIRE(watchdog.start(asked).empty());
        watchdog.reload();
        uint64_t ticks = 0;
        while (!chipset.reset && ticks < 5000) chipset.tick(), ticks++;
        CHECK(ticks * 600 == watchdog.reset_ms());
        return ticks * 600;
    };
    CHECK(resets_after(20'000) == 19'200);
    CHECK(resets_after(19'200) == 19'200);
    CHECK(resets_after(5'000) == 4'800);
    CHECK(resets_after(1'000) == 4'800);
    CHECK(resets_after(1'227'600) == 1'227'600);
    CHECK(resets_after(~uint64_t{0}) == 1'227'600);
}

TEST_CASE("watchdog: without the grant nothing is written") {
    const auto refused = [](PortRange tco, bool control) {
        Chipset chipset;
        for (auto& [port, write] : chipset.on_write) write = [](uint32_t) { FAIL("written to"); };
        TcoWatchdog watchdog{chipset, tco, control ? &chipset.general : nullptr};
        const std::string problem = watchdog.start();
        CHECK_FALSE(watchdog.running());
        return problem.starts_with("no watchdog found");
    };
    CHECK(refused({}, true));
    CHECK(refused(kTcoPorts, false));
}

TEST_CASE("watchdog: a timer that does not take its settings is not relied on") {
    Chipset chipset;
    chipset.deaf = true;
    TcoWatchdog watchdog{chipset, kTcoPorts, &chipset.general};
    CHECK_FALSE(watchdog.start().empty());
    CHECK_FALSE(watchdog.running());
}
