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
bool is_numbered_mode(std::string_view name) {
    if (!text::begins(name, "mode-")) return false;
    std::string_view digits = text::without(name, 5);
    if (text::begins(digits, "0x")) digits = text::without(digits, 2);
    if (digits.empty() || digits.size() > 4) return false;
    for (const char c : digits)
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) return false;
    return true;
}

bool mode(std::string_view name, VgaOptions& vga) {
    if (name == "current") return vga.mode = VgaMode::Current, true;
    if (text::begins(name, "text-80x")) return text_mode(text::without(name, 8), vga);
    if (text::begins(name, "gfx-")) return graphics_mode(text::without(name, 4), vga);
    return false;
}

}  // namespace

void option_vga(const Word& word) {
    constexpr const char* kExpected =
        "current, text-80xROWS (25, 28, 30, 34, 43, 50, 80) or gfx-WIDTHxHEIGHTxBITS, then perhaps ,keep";
    constexpr const char* kNoBios =
        "the BIOS that knows modes by number, and a menu of them, is gone; write gfx-WIDTHxHEIGHTxBITS";
    VgaOptions vga{};
    bool chosen = false;
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, kExpected);
    while (!rest.empty()) {
        const std::string_view part = text::take(rest, ',');
        if (part == "keep") continue;  // it always is
        if (part == "ask" || is_numbered_mode(part)) return word.unsupported(part, kNoBios);
        if (chosen || !mode(part, vga)) return word.malformed(part, kExpected);
        chosen = true;
    }
    word.options.vga = vga;
}

bool is_met(const abi::VgaOptions& wish, const abi::BootFramebuffer& screen) {
    if (wish.mode == VgaMode::Current) return true;
    if (wish.mode == VgaMode::Text)
        return screen.text != 0 && screen.width == 80 && screen.height == wish.rows;
    const uint32_t colour_bits = uint32_t{screen.red_bits} + screen.green_bits + screen.blue_bits;
    return screen.text == 0 && screen.width == wish.width && screen.height == wish.height &&
           (screen.bits == wish.bits || colour_bits == wish.bits);
}

}  // namespace bulkhead::boot
