// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/surface.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "services/console-stubdom/font_data.hpp"

namespace bulkhead::console {
namespace {

constexpr unsigned kGlyphWidth = 8, kGlyphHeight = 16, kMaxPixelBytes = 4;
constexpr unsigned kLeastColumns = 20, kLeastRows = 5, kMostSide = 16384;

// The 16 colours of a VGA's text mode, red first.
constexpr uint8_t kPalette[16][3] = {{0, 0, 0},     {170, 0, 0},    {0, 170, 0},    {170, 85, 0},
                                     {0, 0, 170},   {170, 0, 170},  {0, 170, 170},  {170, 170, 170},
                                     {85, 85, 85},  {255, 85, 85},  {85, 255, 85},  {255, 255, 85},
                                     {85, 85, 255}, {255, 85, 255}, {85, 255, 255}, {255, 255, 255}};

const CodePoint* find(std::span<const CodePoint> table, char16_t code) {
    const auto it = std::ranges::lower_bound(table, code, {}, &CodePoint::code);
    return it != table.end() && it->code == code ? &*it : nullptr;
}

class Pixels final : public Surface {
  public:
    Pixels(const abi::BootFramebuffer& screen, std::span<std::byte> memory)
        : Surface{screen.width / kGlyphWidth, screen.height / kGlyphHeight},
          memory_{memory},
          pitch_{screen.pitch},
          bytes_{screen.bits / 8} {
        for (unsigned i = 0; i < 16; i++)
            colour_[i] = field(kPalette[i][0], screen.red_position, screen.red_bits) |
                         field(kPalette[i][1], screen.green_position, screen.green_bits) |
                         field(kPalette[i][2], screen.blue_position, screen.blue_bits);
    }

    void clear() override { std::memset(memory_.data(), 0, memory_.size()); }

    void draw(unsigned column, unsigned row, const Cell& cell) override {
        const uint8_t* glyph = glyph_of(cell.code);
        const uint32_t ink[2] = {colour_[cell.background & 15], colour_[cell.foreground & 15]};
        std::byte* to =
            memory_.data() + size_t{row} * kGlyphHeight * pitch_ + size_t{column} * kGlyphWidth * bytes_;
        for (unsigned y = 0; y < kGlyphHeight; y++, to += pitch_) {
            std::byte line[kGlyphWidth * kMaxPixelBytes];
            for (unsigned x = 0; x < kGlyphWidth; x++)
                std::memcpy(line + size_t{x} * bytes_, &ink[glyph[y] >> (7 - x) & 1], bytes_);
            std::memcpy(to, line, kGlyphWidth * bytes_);
        }
    }

  private:
    static uint32_t field(uint8_t value, uint8_t position, uint8_t bits) {
        const uint32_t scaled = bits >= 8 ? uint32_t{value} << (bits - 8) : uint32_t{value} >> (8 - bits);
        return scaled << position;
    }

    const std::span<std::byte> memory_;
    const size_t pitch_, bytes_;
    std::array<uint32_t, 16> colour_;
};

// A word a cell: character, and colours in the order of a VGA, which has red and blue swapped.
class Text final : public Surface {
  public:
    Text(const abi::BootFramebuffer& screen, std::span<std::byte> memory, Ports* vga)
        : Surface{screen.width, screen.height}, memory_{memory}, pitch_{screen.pitch}, vga_{vga} {}

    void clear() override {
        for (unsigned row = 0; row < rows(); row++)
            for (unsigned column = 0; column < columns(); column++) draw(column, row, {});
    }
    void draw(unsigned column, unsigned row, const Cell& cell) override {
        const CodePoint* known = cell.code < 0x80 ? nullptr : find(kVgaCharacters, cell.code);
        const unsigned character = cell.code < 0x80 ? cell.code : known ? known->glyph : '?';
        // Bit 7 of the attribute may mean "blink": no bright backgrounds.
        const auto word = static_cast<uint16_t>(character | swapped(cell.foreground) << 8 |
                                                (swapped(cell.background) & 7) << 12);
        std::memcpy(memory_.data() + size_t{row} * pitch_ + size_t{column} * 2, &word, sizeof word);
    }
    bool place_cursor(unsigned column, unsigned row) override {
        if (!vga_) return false;
        const unsigned at = row * static_cast<unsigned>(pitch_) / 2 + column;
        for (const auto& [index, value] : {std::pair{0x0e, at >> 8}, std::pair{0x0f, at & 0xff}}) {
            vga_->out(0, static_cast<uint8_t>(index));
            vga_->out(1, static_cast<uint8_t>(value));
        }
        return true;
    }

  private:
    static unsigned swapped(uint8_t colour) {
        return (colour & 0xau) | (colour & 1u) << 2 | (colour >> 2 & 1u);
    }

    const std::span<std::byte> memory_;
    const size_t pitch_;
    Ports* const vga_;
};

bool fits(uint8_t position, uint8_t bits, uint32_t pixel_bits) {
    return bits >= 1 && bits <= 16 && unsigned{position} + bits <= pixel_bits;
}

}  // namespace

const uint8_t* glyph_of(char16_t code) {
    constexpr char16_t kReplacement = 0xfffd;
    const CodePoint* found = find(kCodePoints, code);
    if (!found) found = find(kCodePoints, kReplacement);
    return kGlyphs[found ? found->glyph : 0];
}

std::unique_ptr<Surface> Surface::create(const abi::BootFramebuffer& s, std::span<std::byte> memory,
                                         Ports* vga) {
    if (s.width > kMostSide || s.height > kMostSide || uint64_t{s.pitch} * s.height > memory.size())
        return nullptr;
    if (s.text != 0) {
        if (s.width < kLeastColumns || s.height < kLeastRows || s.pitch < s.width * 2) return nullptr;
        return std::make_unique<Text>(s, memory, vga);
    }
    const bool pixels =
        (s.bits == 16 || s.bits == 24 || s.bits == 32) && s.pitch >= uint64_t{s.width} * (s.bits / 8);
    const bool colours = fits(s.red_position, s.red_bits, s.bits) &&
                         fits(s.green_position, s.green_bits, s.bits) &&
                         fits(s.blue_position, s.blue_bits, s.bits);
    if (!pixels || !colours || s.width < kLeastColumns * kGlyphWidth || s.height < kLeastRows * kGlyphHeight)
        return nullptr;
    return std::make_unique<Pixels>(s, memory);
}

}  // namespace bulkhead::console
