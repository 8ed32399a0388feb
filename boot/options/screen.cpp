// SPDX-License-Identifier: Apache-2.0
// vga=
#include "boot/options/handlers.hpp"

namespace bulkhead::boot {
namespace {

using abi::VgaMode;
using abi::VgaOptions;

bool text_mode(std::string_view rows, VgaOptions& vga) {
    const auto count = text::natural(rows, 25, 80);
    for (const uint32_t known : {25u, 28u, 30u, 34u, 43u, 50u, 80u})
        if (count && *count == known) {
            vga.mode = VgaMode::Text;
            vga.rows = static_cast<uint16_t>(known);
            return true;
        }
    return false;
}

bool graphics_mode(std::string_view sizes, VgaOptions& vga) {
    const auto width = text::natural(text::take(sizes, 'x'), 1, 0xffff),
               height = text::natural(text::take(sizes, 'x'), 1, 0xffff), bits = text::natural(sizes, 1, 32);
    if (!width || !height || !bits) return false;
    vga.mode = VgaMode::Graphics;
    vga.width = static_cast<uint16_t>(*width);
    vga.height = static_cast<uint16_t>(*height);
    vga.bits = static_cast<uint16_t>(*bits);
    return true;
}

// In hexadecimal, with or without 0x, as Xen's menu shows it.
bool numbered_mode(std::string_view digits, VgaOptions& vga) {
    if (text::begins(digits, "0x")) digits = text::without(digits, 2);
    char hexadecimal[6] = {'0', 'x'};
    if (digits.empty() || digits.size() > 4) return false;
    for (size_t i = 0; i < digits.size(); ++i) hexadecimal[2 + i] = digits[i];
    const auto number = text::natural({hexadecimal, 2 + digits.size()});
    if (!number) return false;
    vga.mode = VgaMode::Number;
    vga.number = static_cast<uint16_t>(*number);
    return true;
}

bool mode(std::string_view name, VgaOptions& vga) {
    if (name == "ask") return vga.mode = VgaMode::Ask, true;
    if (name == "current") return vga.mode = VgaMode::Current, true;
    if (text::begins(name, "text-80x")) return text_mode(text::without(name, 8), vga);
    if (text::begins(name, "gfx-")) return graphics_mode(text::without(name, 4), vga);
    if (text::begins(name, "mode-")) return numbered_mode(text::without(name, 5), vga);
    return false;
}

}  // namespace

void option_vga(const Word& word) {
    constexpr const char* kExpected =
        "ask, current, text-80xROWS (25, 28, 30, 34, 43, 50, 80), gfx-WIDTHxHEIGHTxBITS or mode-NUMBER, then "
        "perhaps ,keep";
    VgaOptions vga{};
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, kExpected);
    while (!rest.empty()) {
        const std::string_view part = text::take(rest, ',');
        if (part == "keep")
            vga.keep = 1;
        else if (vga.mode != VgaMode::Default || !mode(part, vga))
            return word.malformed(part, kExpected);
    }
    word.options.vga = vga;
}

}  // namespace bulkhead::boot
