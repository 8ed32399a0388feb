// SPDX-License-Identifier: Apache-2.0
// The screen from bytes to pixels.
#include "services/console-stubdom/screen.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>

using namespace bulkhead;
using namespace bulkhead::console;

namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span{text});
}

struct Shown {
    Grid grid{20, 5};
    VtParser parser{grid};
    explicit Shown(std::string_view text) { parser.feed(bytes(text)); }
    std::string row(unsigned n) const {
        std::string out;
        for (unsigned i = 0; i < grid.columns(); i++)
            out += grid.at(i, n).code < 0x80 ? static_cast<char>(grid.at(i, n).code) : '?';
        return out.substr(0, out.find_last_not_of(' ') + 1);
    }
    std::pair<unsigned, unsigned> cursor() const { return {grid.cursor_column(), grid.cursor_row()}; }
};

abi::BootFramebuffer rgb(uint32_t width, uint32_t height, uint32_t bits = 32) {
    abi::BootFramebuffer s{};
    s.width = width, s.height = height, s.bits = bits, s.pitch = width * bits / 8 + 64;
    s.red_position = 16, s.red_bits = s.green_bits = s.blue_bits = 8, s.green_position = 8;
    if (bits == 16) s.red_position = 11, s.red_bits = s.blue_bits = 5, s.green_position = 5, s.green_bits = 6;
    return s;
}

uint32_t pixel(const std::vector<std::byte>& memory, const abi::BootFramebuffer& s, unsigned x, unsigned y) {
    uint32_t value = 0;
    std::memcpy(&value, memory.data() + size_t{y} * s.pitch + size_t{x} * s.bits / 8, s.bits / 8);
    return value;
}

}  // namespace

TEST_CASE("screen: lines, returns, tabs, wrapping, scrolling") {
    CHECK(Shown{"one\r\ntwo"}.row(1) == "two");
    CHECK(Shown{"one\ntwo"}.row(1) == "   two");
    CHECK(Shown{"abc\rx"}.row(0) == "xbc");
    CHECK(Shown{"abc\b\bx"}.row(0) == "axc");
    CHECK(Shown{"a\tb"}.row(0) == "a       b");
    const Shown full{"12345678901234567890"};
    CHECK(full.cursor() == std::pair{19u, 0u});  // it wraps when the next one comes
    CHECK(Shown{"12345678901234567890\r\nx"}.row(1) == "x");
    CHECK(Shown{"12345678901234567890x"}.row(1) == "x");
    const Shown scrolled{"1\r\n2\r\n3\r\n4\r\n5\r\n6"};
    CHECK(scrolled.row(0) == "2");
    CHECK(scrolled.row(4) == "6");
    CHECK(Shown{"a\x01\x07\x7f"
                "b"}
              .row(0) == "ab");
}

TEST_CASE("screen: what line editors and Linux guests send") {
    CHECK(Shown{"hello\x1b[3Dx"}.row(0) == "hexlo");
    CHECK(Shown{"hello\x1b[1;2Hx"}.row(0) == "hxllo");
    CHECK(Shown{"hello\r\x1b[K"}.row(0).empty());
    CHECK(Shown{"hello\r\x1b[2C\x1b[1K"}.row(0) == "   lo");
    CHECK(Shown{"a\r\nb\r\nc\x1b[2;1H\x1b[J"}.row(0) == "a");
    CHECK(Shown{"a\r\nb\r\nc\x1b[2;1H\x1b[J"}.row(2).empty());
    CHECK(Shown{"a\r\nb\x1b[H\x1b[2Jx"}.row(0) == "x");
    CHECK(Shown{"hello\r\x1b[2P"}.row(0) == "llo");
    CHECK(Shown{"hello\r\x1b[2@"}.row(0) == "  hello");
    CHECK(Shown{"hello\r\x1b[2X"}.row(0) == "  llo");
    CHECK(Shown{"a\r\nb\r\nc\x1b[1;1H\x1b[L"}.row(1) == "a");
    CHECK(Shown{"a\r\nb\r\nc\x1b[1;1H\x1b[M"}.row(0) == "b");
    CHECK(Shown{"\x1b[2;3r\x1b[3;1Hx\r\ny\r\nz"}.row(2) == "z");
    CHECK(Shown{"\x1b[2;3r\x1b[3;1Hx\r\ny\r\nz"}.row(1) == "y");
    CHECK(Shown{"ab\x1b"
                "7cd\x1b"
                "8x"}
              .row(0) == "abxd");
    CHECK(Shown{"\x1b]0;a title\x07text"}.row(0) == "text");
    CHECK(Shown{"\x1b]0;a title\x1b\\text"}.row(0) == "text");
    CHECK(Shown{"\x1b(Btext\x1b[?2004h\x1b[>c\x1b[6n"}.row(0) == "text");
    CHECK(Shown{"te\x1b[3\x18xt"}.row(0) == "text");
    CHECK(Shown{"\x1b[99999999999Cx"}.cursor() == std::pair{19u, 0u});
    CHECK_FALSE(Shown{"\x1b[?25l"}.grid.cursor_shown());
}

TEST_CASE("screen: colours") {
    const Shown s{
        "\x1b[31ma\x1b[1mb\x1b[7mc\x1b[0md\x1b[38;5;12;44me\x1b[38;2;1;2;3mf\x1b[39;49mg\x1b[97;100mh"};
    const auto is = [&](unsigned column, unsigned foreground, unsigned background) {
        const Cell& cell = s.grid.at(column, 0);
        return cell.foreground == foreground && cell.background == background;
    };
    CHECK(is(0, 1, 0));
    CHECK(is(1, 9, 0));
    CHECK(is(2, 0, 9));
    CHECK(is(3, 7, 0));
    CHECK(is(4, 12, 4));
    CHECK(is(5, 12, 4));
    CHECK(is(6, 7, 0));
    CHECK(is(7, 15, 8));
}

TEST_CASE("screen: UTF-8, whole and broken") {
    const auto code = [](std::string_view text, unsigned column) {
        return Shown{text}.grid.at(column, 0).code;
    };
    CHECK(code("\xc3\xa9", 0) == 0xe9);
    CHECK(code("\xe2\x94\x80", 0) == 0x2500);
    CHECK(code("\xf0\x9f\x98\x80", 0) == 0xfffd);
    CHECK(code("\xc3x", 0) == 0xfffd);
    CHECK(code("\xc3x", 1) == 'x');
    CHECK(code("\xc0\xaf", 0) == 0xfffd);  // an overlong slash
    CHECK(code("\xff"
               "a",
               1) == 'a');
}

TEST_CASE("screen: pixels are the font's, in the colours and at the place that the firmware described") {
    for (const uint32_t bits : {16u, 24u, 32u}) {
        const auto s = rgb(200, 100, bits);
        std::vector<std::byte> memory(size_t{s.pitch} * s.height, std::byte{0x55});
        Screen screen{Surface::create(s, memory, nullptr)};
        CHECK(screen.grid().columns() == 25);
        CHECK(screen.grid().rows() == 6);
        screen.write(bytes("\x1b[?25l\x1b[37mA\r\n \x1b[31mg"));
        screen.flush();
        const uint32_t grey = bits == 16 ? 0xad55 : 0xaaaaaa, red = bits == 16 ? 0xa800 : 0xaa0000;
        const auto matches = [&](char16_t code, unsigned column, unsigned row, uint32_t ink) {
            for (unsigned y = 0; y < 16; y++)
                for (unsigned x = 0; x < 8; x++)
                    if (pixel(memory, s, column * 8 + x, row * 16 + y) !=
                        (glyph_of(code)[y] >> (7 - x) & 1 ? ink : 0))
                        return false;
            return true;
        };
        INFO(bits << " bits");
        CHECK(matches('A', 0, 0, grey));
        CHECK(matches('g', 1, 1, red));
        CHECK(pixel(memory, s, 199, 99) == 0);  // what the firmware showed is gone
    }
    CHECK(std::memcmp(glyph_of('A'), glyph_of('B'), 16) != 0);
    CHECK(std::memcmp(glyph_of(0x4e00), glyph_of(0xfffd), 16) == 0);
}

TEST_CASE("screen: the cursor is a cell turned over, and only what changed is drawn") {
    const auto s = rgb(200, 100);
    std::vector<std::byte> memory(size_t{s.pitch} * s.height);
    Screen screen{Surface::create(s, memory, nullptr)};
    screen.write(bytes("ab"));
    screen.flush();
    CHECK(pixel(memory, s, 16, 0) == 0xaaaaaa);
    CHECK_FALSE(screen.dirty());
    std::fill(memory.begin(), memory.end(), std::byte{0});
    screen.write(bytes("c"));
    screen.flush();
    uint32_t first = 0;
    for (unsigned y = 0; y < 16; y++)
        for (unsigned x = 0; x < 16; x++) first |= pixel(memory, s, x, y);
    CHECK(first == 0);                           // "ab" was not drawn again
    CHECK(pixel(memory, s, 24, 0) == 0xaaaaaa);  // the cursor moved on
}

TEST_CASE("screen: a VGA in text mode") {
    abi::BootFramebuffer s{};
    s.text = 1, s.width = 80, s.height = 25, s.pitch = 160;
    struct Crtc final : Ports {
        uint8_t index = 0, value[256] = {};
        uint8_t in(unsigned) override { return 0; }
        void out(unsigned reg, uint8_t v) override { reg == 0 ? index = v : value[index] = v; }
    } crtc;
    std::vector<std::byte> memory(4096);
    Screen screen{Surface::create(s, memory, &crtc)};
    screen.write(bytes("\x1b[31mA\xe2\x94\x80\xe2\x82\xac"));
    screen.flush();
    const auto word = [&](unsigned n) {
        uint16_t value;
        std::memcpy(&value, memory.data() + n * 2, 2);
        return value;
    };
    CHECK(word(0) == (0x0400 | 'A'));   // a VGA's red is bit 2
    CHECK(word(1) == (0x0400 | 0xc4));  // ─ in code page 437
    CHECK(word(2) == (0x0400 | '?'));   // no euro there
    CHECK(word(3) == 0x0720);
    CHECK(crtc.value[0x0f] == 3);
    CHECK(crtc.value[0x0e] == 0);
}

TEST_CASE("screen: a description that makes no sense is refused") {
    std::vector<std::byte> memory(1 << 16);
    const auto refused = [&](auto change) {
        auto s = rgb(160, 80);
        change(s);
        return Surface::create(s, memory, nullptr) == nullptr;
    };
    CHECK_FALSE(refused([](auto&) {}));
    CHECK(refused([](auto& s) { s.width = 0; }));
    CHECK(refused([](auto& s) { s.width = 100; }));
    CHECK(refused([](auto& s) { s.height = 1000; }));
    CHECK(refused([](auto& s) { s.pitch = 100; }));
    CHECK(refused([](auto& s) { s.bits = 8; }));
    CHECK(refused([](auto& s) { s.red_bits = 0; }));
    CHECK(refused([](auto& s) { s.blue_position = 30; }));
    CHECK(refused([](auto& s) { s.height = 0xffffffff, s.pitch = 0xffffffff; }));
    CHECK(refused([](auto& s) { s.text = 1, s.pitch = 80; }));
}
