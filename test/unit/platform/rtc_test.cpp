// SPDX-License-Identifier: Apache-2.0
#include "services/platform/rtc.hpp"

#include <catch2/catch.hpp>
#include <ctime>
#include <functional>

using bulkhead::platform::read_clock;

namespace {

// An MC146818: the time as fields, shown in any of its four formats; busy() decides whether an update is in
// progress at a read of status A.
class Clock final : public bulkhead::platform::Cmos {
  public:
    unsigned second = 0, minute = 0, hour = 0, day = 1, month = 1, year = 2000;
    bool binary = false, hours24 = true;
    std::optional<unsigned> century_register;  // raw value; else as a clock that has one keeps it
    std::function<bool()> busy = [] { return false; };
    std::function<void(uint8_t)> before_read = [](uint8_t) {};

    uint8_t read(uint8_t index) override {
        before_read(index);
        switch (index) {
            case 0: return code(second);
            case 2: return code(minute);
            case 4:
                return hours24
                           ? code(hour)
                           : static_cast<uint8_t>(code(hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
            case 7: return code(day);
            case 8: return code(month);
            case 9: return code(year % 100);
            case 10: return busy() ? 0xa6 : 0x26;
            case 11: return static_cast<uint8_t>((binary ? 4 : 0) | (hours24 ? 2 : 0));
            case 0x32: return century_register ? static_cast<uint8_t>(*century_register) : code(year / 100);
            default: return 0xee;
        }
    }
    uint64_t expected() const {
        std::tm time{};
        time.tm_sec = static_cast<int>(second), time.tm_min = static_cast<int>(minute),
        time.tm_hour = static_cast<int>(hour);
        time.tm_mday = static_cast<int>(day), time.tm_mon = static_cast<int>(month) - 1,
        time.tm_year = static_cast<int>(year) - 1900;
        return static_cast<uint64_t>(timegm(&time));
    }

  private:
    uint8_t code(unsigned value) const {
        return static_cast<uint8_t>(binary ? value : value / 10 * 16 + value % 10);
    }
};

}  // namespace

TEST_CASE("rtc: every hour in all four formats") {
    for (const bool binary : {false, true})
        for (const bool hours24 : {false, true})
            for (unsigned hour = 0; hour < 24; hour++) {
                Clock clock;
                clock.binary = binary, clock.hours24 = hours24;
                clock.year = 2026, clock.month = 11, clock.day = 23, clock.hour = hour, clock.minute = 59,
                clock.second = 58;
                INFO("hour " << hour << " binary " << binary << " 24 hours " << hours24);
                CHECK(read_clock(clock) == clock.expected());
            }
}

TEST_CASE("rtc: every day from 1970 to 2200, against the C library") {
    static constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned wrong = 0;
    for (unsigned year = 1970; year < 2200; year++)
        for (unsigned month = 1; month <= 12; month++) {
            const bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (unsigned day = 1; day <= kDays[month - 1] + leap; day++) {
                Clock clock;
                clock.year = year, clock.month = month, clock.day = day, clock.hour = 23;
                wrong += read_clock(clock) != clock.expected();
            }
        }
    CHECK(wrong == 0);
}

TEST_CASE("rtc: a clock without a century register is in the 21st") {
    for (const unsigned rubbish : {0x00u, 0xffu, 0x80u}) {
        Clock clock;
        clock.year = 2031, clock.century_register = rubbish;
        CHECK(read_clock(clock) == clock.expected());
    }
}

TEST_CASE("rtc: an update between two reads of the fields is noticed") {
    // The second rolls over from 23:59:59 on 31 December while the n-th field is read.
    for (int n = 0; n < 20; n++) {
        Clock clock;
        clock.year = 1999, clock.month = 12, clock.day = 31, clock.hour = 23, clock.minute = 59,
        clock.second = 59;
        const uint64_t before = clock.expected();
        int reads = 0;
        clock.before_read = [&](uint8_t) {
            if (reads++ == n)
                clock.year = 2000, clock.month = 1, clock.day = 1,
                clock.hour = clock.minute = clock.second = 0;
        };
        const auto seconds = read_clock(clock);
        INFO("read " << n);
        REQUIRE(seconds);
        CHECK((*seconds == before || *seconds == before + 1));
    }
}

TEST_CASE("rtc: it waits for an update to end, but not for ever") {
    Clock clock;
    int updates = 50;
    clock.busy = [&] { return updates-- > 0; };
    CHECK(read_clock(clock) == clock.expected());
    clock.busy = [] { return true; };
    CHECK_FALSE(read_clock(clock));
}

TEST_CASE("rtc: no clock, or rubbish in it, is no time") {
    struct Ones final : bulkhead::platform::Cmos {
        uint8_t read(uint8_t) override { return 0xff; }
    } none;
    CHECK_FALSE(read_clock(none));
    auto refused = [](auto change) {
        Clock clock;
        change(clock);
        return !read_clock(clock);
    };
    CHECK(refused([](Clock& c) { c.month = 13; }));
    CHECK(refused([](Clock& c) { c.month = 0; }));
    CHECK(refused([](Clock& c) { c.day = 0; }));
    CHECK(refused([](Clock& c) { c.day = 32; }));
    CHECK(refused([](Clock& c) { c.hour = 24; }));
    CHECK(refused([](Clock& c) { c.minute = 60; }));
    CHECK(refused([](Clock& c) { c.second = 61; }));
    CHECK(refused([](Clock& c) { c.year = 1969; }));
    unsigned value = 0;
    struct Restless final : bulkhead::platform::Cmos {
        unsigned& value;
        explicit Restless(unsigned& v) : value{v} {}
        uint8_t read(uint8_t index) override {
            return index >= 10 && index != 0x32 ? 0x26 : static_cast<uint8_t>(value++ % 10);
        }
    } restless{value};
    CHECK_FALSE(read_clock(restless));
}
