// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/text.hpp"

#include <cstdarg>
#include <cstdio>
#include <limits>

namespace bulkhead::xl {

std::string format(const char* pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, pattern, arguments);
    va_end(arguments);
    std::string text;
    if (length > 0) {
        text.resize(static_cast<std::size_t>(length));
        std::vsnprintf(text.data(), text.size() + 1, pattern, again);
    }
    va_end(again);
    return text;
}

namespace {

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
}

std::optional<std::uint64_t> parse_in_base(std::string_view digits, unsigned base) {
    if (digits.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : digits) {
        const auto digit = static_cast<unsigned>(digit_value(c));
        if (digit >= base) return std::nullopt;
        if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / base) return std::nullopt;
        value = value * base + digit;
    }
    return value;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
    if (text.starts_with("0x") || text.starts_with("0X")) return parse_in_base(text.substr(2), 16);
    if (text.size() > 1 && text.front() == '0') return parse_in_base(text.substr(1), 8);
    return parse_in_base(text, 10);
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
    return parse_in_base(text, 10);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

std::string printable(std::string_view text) {
    std::string safe(text);
    for (char& c : safe) {
        const bool shown = (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
        if (!shown) c = '?';
    }
    return safe;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            case '\\': out += "\\\\"; break;
            default:
                if (c >= ' ' && c <= '~') {
                    out += c;
                } else {
                    out += format("\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
                }
        }
    }
    return out;
}

std::optional<std::string> unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        if (++i == text.size()) return std::nullopt;
        switch (text[i]) {
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case '\\': out += '\\'; break;
            case '"': out += '"'; break;
            case 'x': {
                const auto value = parse_in_base(text.substr(i + 1, 2), 16);
                if (!value || text.size() < i + 3) return std::nullopt;
                out += static_cast<char>(*value);
                i += 2;
                break;
            }
            default: return std::nullopt;
        }
    }
    return out;
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c >= ' ' && c <= '~') {
            out += c;
        } else {
            // Bytes above 0x7f are shown one by one as Latin-1 code points: lossless, and always valid JSON.
            out += format("\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        }
    }
    return out + '"';
}

}  // namespace bulkhead::xl
