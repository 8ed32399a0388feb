// SPDX-License-Identifier: Apache-2.0
// The types of parameters of xen-command-line: boolean, integer, size, list. Every function takes all of its
// text or refuses it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::boot::text {

constexpr std::string_view first(std::string_view text, size_t count) {
    return {text.data(), count < text.size() ? count : text.size()};
}
constexpr std::string_view without(std::string_view text, size_t count) {
    text.remove_prefix(count < text.size() ? count : text.size());
    return text;
}
constexpr size_t find(std::string_view text, char wanted) {
    size_t at = 0;
    while (at < text.size() && text[at] != wanted) ++at;
    return at;
}
constexpr bool begins(std::string_view text, std::string_view with) {
    return first(text, with.size()) == with;
}
constexpr bool ends(std::string_view text, std::string_view with) {
    return text.size() >= with.size() && without(text, text.size() - with.size()) == with;
}

// Takes what stands before `separator`, or all, off the front of `text`.
constexpr std::string_view take(std::string_view& text, char separator) {
    const size_t at = find(text, separator);
    const std::string_view taken = first(text, at);
    text = without(text, at + 1);
    return taken;
}

// "NAME" or "NAME=VALUE" in a list.
struct Item {
    std::string_view all, name, value;
    bool has_value;
};
constexpr Item item(std::string_view text) {
    const size_t at = find(text, '=');
    return {text, first(text, at), without(text, at + 1), at < text.size()};
}

constexpr std::optional<bool> boolean(std::string_view text) {
    for (const std::string_view word : {"on", "yes", "true", "enable", "1"})
        if (text == word) return true;
    for (const std::string_view word : {"off", "no", "false", "disable", "0"})
        if (text == word) return false;
    return std::nullopt;
}

// NAME, no-NAME or NAME=BOOLEAN, for a boolean in a list.
constexpr std::optional<bool> flag(const Item& item, std::string_view name) {
    if (item.all == name) return true;
    if (begins(item.all, "no-") && without(item.all, 3) == name) return false;
    if (item.name == name && item.has_value) return boolean(item.value);
    return std::nullopt;
}

// Digits of the base that the number's own prefix says: 0x, 0 or none.
constexpr std::optional<uint64_t> natural(std::string_view text) {
    unsigned base = 10;
    if (begins(text, "0x") || begins(text, "0X")) {
        base = 16;
        text = without(text, 2);
    } else if (text.size() > 1 && text[0] == '0') {
        base = 8;
        text = without(text, 1);
    }
    if (text.empty()) return std::nullopt;
    uint64_t value = 0;
    for (const char c : text) {
        const unsigned digit = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                               : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10
                               : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10
                                                      : base;
        if (digit >= base || value > (~uint64_t{0} - digit) / base) return std::nullopt;
        value = value * base + digit;
    }
    return value;
}
constexpr std::optional<uint32_t> natural(std::string_view text, uint32_t low, uint32_t high) {
    const auto value = natural(text);
    if (!value || *value < low || *value > high) return std::nullopt;
    return static_cast<uint32_t>(*value);
}

// A size in bytes. Without a suffix the number counts KiB.
constexpr std::optional<uint64_t> size(std::string_view text) {
    unsigned shift = 10;
    if (!text.empty()) {
        constexpr std::string_view kSuffixes = "bkmgt";
        const char last = static_cast<char>(text.back() | 0x20);
        const size_t suffix = find(kSuffixes, last);
        // In a hexadecimal number a final b is a digit.
        const bool digit = suffix == 0 && (begins(text, "0x") || begins(text, "0X"));
        if (suffix < kSuffixes.size() && !digit) {
            shift = static_cast<unsigned>(suffix) * 10;
            text.remove_suffix(1);
        }
    }
    const auto value = natural(text);
    if (!value || *value > ~uint64_t{0} >> shift) return std::nullopt;
    return *value << shift;
}

}  // namespace bulkhead::boot::text
