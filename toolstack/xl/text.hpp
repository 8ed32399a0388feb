// SPDX-License-Identifier: Apache-2.0
// Small text helpers that the commands share. All are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::xl {

// printf into a string; the compiler checks the arguments.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// A number as C's strtoul(…, base 0) reads it (0x… hexadecimal, 0… octal), but the whole text must be the
// number and it must fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

// Decimal digits only.
std::optional<std::uint64_t> parse_decimal(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);

// Text from another domain, made harmless for a terminal: everything but printable ASCII, newline and tab
// becomes '?'.
std::string printable(std::string_view text);

// The same by escapes, as xenstore-read shows values: \n \r \t \\ and \xHH.
std::string escaped(std::string_view text);

// The inverse of escaped(); nullopt if an escape is malformed.
std::optional<std::string> unescaped(std::string_view text);

std::string json_string(std::string_view text);

}  // namespace bulkhead::xl
