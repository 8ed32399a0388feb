// SPDX-License-Identifier: Apache-2.0
#include "services/platform/rtc.hpp"

namespace bulkhead::platform {
namespace {

// MC146818 data sheet: register numbers; status A bit 7 is "update in progress", status B bit 1 "24 hours",
// bit 2 "binary".
enum Index : uint8_t {
    kSecond = 0,
    kMinute = 2,
    kHour = 4,
    kDay = 7,
    kMonth = 8,
    kYear = 9,
    kStatusA = 10,
    kStatusB = 11,
    kCentury = 0x32
};
constexpr unsigned kMaxTries = 100000;

struct Fields {
    uint8_t second, minute, hour, day, month, year, century;
    friend bool operator==(const Fields&, const Fields&) = default;
};

Fields read_fields(Cmos& cmos) {
    return {cmos.read(kSecond), cmos.read(kMinute), cmos.read(kHour),   cmos.read(kDay),
            cmos.read(kMonth),  cmos.read(kYear),   cmos.read(kCentury)};
}

uint32_t decode(uint8_t value, bool binary) {
    return binary ? value : static_cast<uint32_t>((value >> 4) * 10 + (value & 15));
}

// Days since 1970-01-01 of a date in the proleptic Gregorian calendar (years counted from March, so that the
// leap day is last).
uint64_t days_since_1970(uint64_t year, uint32_t month, uint32_t day) {
    const uint64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

}  // namespace

std::optional<uint64_t> read_clock(Cmos& cmos) {
    for (unsigned attempt = 0; attempt < kMaxTries; attempt++) {
        if (cmos.read(kStatusA) & 0x80) continue;
        const Fields first = read_fields(cmos), second = read_fields(cmos);
        if (first != second || (cmos.read(kStatusA) & 0x80)) continue;
        const uint8_t status = cmos.read(kStatusB);
        const bool binary = status & 4;
        uint32_t hour = decode(first.hour & 0x7f, binary);
        if (!(status & 2)) hour = hour % 12 + (first.hour & 0x80 ? 12 : 0);
        const uint32_t month = decode(first.month, binary), day = decode(first.day, binary),
                       minute = decode(first.minute, binary), seconds = decode(first.second, binary);
        const uint32_t century = decode(first.century, binary);
        const uint32_t year =
            decode(first.year, binary) + (century >= 19 && century <= 29 ? century * 100 : 2000);
        if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || seconds > 60 ||
            year < 1970)
            return std::nullopt;
        return ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + seconds;
    }
    return std::nullopt;
}

}  // namespace bulkhead::platform
