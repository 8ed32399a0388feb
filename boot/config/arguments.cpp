// SPDX-License-Identifier: Apache-2.0
#include "boot/config/arguments.hpp"

#include "boot/config/text.hpp"

namespace bulkhead::boot {
namespace {

constexpr bool is_text(unsigned code) {
    return (code >= 0x20 && code <= 0x7e) || code == '\t';
}

uint16_t word_at(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8);
}

// Text of characters of `width` bytes up to a zero or the end; nothing when anything else is in it.
std::string_view decode(std::span<const uint8_t> bytes, size_t width, std::span<char, kMaxArguments> out) {
    size_t used = 0;
    for (size_t at = 0; at + width <= bytes.size(); at += width) {
        const unsigned code = width == 2 ? word_at(bytes, at) : bytes[at];
        if (code == 0) {
            // UTF-16 with a character beyond ASCII must not pass as a short narrow text.
            for (size_t rest = at; width == 1 && rest < bytes.size(); rest++)
                if (bytes[rest] != 0) return {};
            break;
        }
        if (!is_text(code) || used == out.size()) return {};
        out[used++] = static_cast<char>(code);
    }
    return trim({out.data(), used});
}

// Some firmware passes the whole EFI_LOAD_OPTION instead of its optional data (UEFI 2.10, 3.1.3): attributes,
// length of the device paths, a description that ends with zero, the device paths, the optional data.
std::span<const uint8_t> optional_data(std::span<const uint8_t> bytes) {
    constexpr uint32_t kKnownAttributes = 0x1f0b;  // ACTIVE, FORCE_RECONNECT, HIDDEN, CATEGORY
    constexpr size_t kHeader = 6, kEndNode = 4;
    if (bytes.size() < kHeader) return {};
    const uint32_t attributes = word_at(bytes, 0) | static_cast<uint32_t>(word_at(bytes, 2)) << 16;
    const size_t paths = word_at(bytes, 4);
    if ((attributes & ~kKnownAttributes) != 0 || (attributes & 1) == 0 || paths < kEndNode) return {};
    size_t at = kHeader;
    while (at + 2 <= bytes.size() && word_at(bytes, at) != 0) at += 2;
    at += 2;
    if (at > bytes.size() || paths > bytes.size() - at) return {};
    const std::span<const uint8_t> end = bytes.subspan(at + paths - kEndNode, kEndNode);
    if (end[0] != 0x7f || end[1] != 0xff || word_at(end, 2) != kEndNode) return {};
    return bytes.subspan(at + paths);
}

// Words may be quoted as in the EFI shell; a word without its closing quote ends with the text.
std::string_view take_argument(std::string_view& text) {
    text = trim(text);
    if (text.empty() || text.front() != '"') return take_word(text);
    text.remove_prefix(1);
    return take(text, '"');
}

void use(Arguments& arguments, std::string_view word) {
    constexpr std::string_view kConfig = "-cfg=";
    if (word == "-basevideo") {
        arguments.base_video = true;
    } else if (word == "-help" || word == "-?" || word == "--help") {
        arguments.help = true;
    } else if (word.substr(0, kConfig.size()) == kConfig) {
        word.remove_prefix(kConfig.size());
        if (word.empty()) arguments.error = "a file name is missing after", arguments.word = "-cfg=";
        arguments.config = word;
    } else if (word.front() == '-') {
        arguments.unknown = word;
    } else if (!arguments.section.empty()) {
        arguments.error = "more than one section is named (options of the hypervisor stand behind `--`):";
        arguments.word = word;
    } else {
        arguments.section = word;
    }
}

}  // namespace

std::string_view decode_load_options(std::span<const uint8_t> bytes, std::span<char, kMaxArguments> out) {
    if (const std::span<const uint8_t> data = optional_data(bytes); !data.empty()) bytes = data;
    if (bytes.size() % 2 == 0)
        if (const std::string_view text = decode(bytes, 2, out); !text.empty()) return text;
    return decode(bytes, 1, out);
}

Arguments parse_arguments(std::string_view text, bool first_is_program) {
    Arguments arguments;
    for (bool first = true; !trim(text).empty(); first = false) {
        const std::string_view word = take_argument(text);
        if (first && (first_is_program || ends_with_ignoring_case(word, ".efi"))) continue;
        if (word == "--") {
            arguments.hypervisor = trim(text);
            break;
        }
        if (!word.empty()) use(arguments, word);
        if (arguments.error) break;
    }
    return arguments;
}

}  // namespace bulkhead::boot
