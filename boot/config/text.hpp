// SPDX-License-Identifier: Apache-2.0
// Words of ASCII text, without a C library.
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead::boot {

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}
constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

// Takes what stands before `separator` off the front of `text`; all of it when there is none.
constexpr std::string_view take(std::string_view& text, char separator) {
    size_t at = 0;
    while (at < text.size() && text[at] != separator) at++;
    const std::string_view taken{text.data(), at};
    text.remove_prefix(at < text.size() ? at + 1 : at);
    return taken;
}

// Takes the first word off the front of `text`; empty: there is none.
constexpr std::string_view take_word(std::string_view& text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    size_t at = 0;
    while (at < text.size() && !is_blank(text[at])) at++;
    const std::string_view word{text.data(), at};
    text.remove_prefix(at);
    return word;
}

constexpr bool ends_with_ignoring_case(std::string_view text, std::string_view ending) {
    if (text.size() < ending.size()) return false;
    text.remove_prefix(text.size() - ending.size());
    for (size_t i = 0; i < ending.size(); i++)
        if (lower(text[i]) != lower(ending[i])) return false;
    return true;
}

}  // namespace bulkhead::boot
