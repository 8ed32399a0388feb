// SPDX-License-Identifier: Apache-2.0
// A domain's UUID: sixteen bytes and their text form 8-4-4-4-12.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::xl {

struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    static std::optional<Uuid> parse(std::string_view text);
    // Version 4, variant 1, as RFC 4122 wants; the caller brings the randomness.
    static Uuid from_random(std::array<std::uint8_t, 16> random);

    std::string text() const;
    bool operator==(const Uuid&) const = default;
};

}  // namespace bulkhead::xl
