// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/keyboard.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <utility>

using namespace bulkhead::console;

namespace {

std::string typed(std::initializer_list<unsigned> codes) {
    KeyDecoder decoder;
    std::vector<std::byte> out;
    for (const unsigned code : codes) decoder.feed(static_cast<uint8_t>(code), out);
    std::string text;
    for (const std::byte b : out) text += static_cast<char>(b);
    return text;
}
std::string typed_with(unsigned modifier, unsigned key) {
    return typed({modifier, key, key | 0x80, modifier | 0x80});
}

// An 8042 that answers commands as the data sheet says.
struct Controller final : Ports {
    std::deque<std::pair<uint8_t, bool>> output;  // byte, from the mouse
    uint8_t config = 0x74, expects = 0, keyboard_got = 0;
    bool enabled = true, stuck = false, missing = false;
    uint8_t in(unsigned reg) override {
        if (missing) return 0xff;
        if (reg == 1)
            return static_cast<uint8_t>((output.empty() ? 0 : 1) |
                                        (!output.empty() && output.front().second ? 0x20 : 0) |
                                        (stuck ? 2 : 0));
        if (output.empty()) return 0;
        const uint8_t byte = output.front().first;
        output.pop_front();
        return byte;
    }
    void out(unsigned reg, uint8_t value) override {
        if (reg == 1) {
            expects = value;
            if (value == 0xad) enabled = false;
            if (value == 0xae) enabled = true;
            if (value == 0x20) output.emplace_back(config, false);
        } else if (std::exchange(expects, uint8_t{0}) == 0x60) {
            config = value;
        } else {
            keyboard_got = value;
            output.emplace_back(0xfa, false);
        }
    }
};

}  // namespace

TEST_CASE("keyboard: letters, digits, signs, with and without shift and caps lock") {
    CHECK(typed({0x2d, 0xad, 0x26, 0xa6, 0x39, 0xb9, 0x26, 0xa6, 0x17, 0x97, 0x1f, 0x9f, 0x14, 0x94, 0x1c,
                 0x9c}) == "xl list\r");
    CHECK(typed_with(0x2a, 0x1e) == "A");
    CHECK(typed_with(0x36, 0x02) == "!");
    CHECK(typed({0x3a, 0xba, 0x1e, 0x9e, 0x02, 0x82}) == "A1");
    CHECK(typed({0x3a, 0xba, 0x2a, 0x1e, 0x9e, 0xaa, 0x3a, 0xba, 0x1e}) == "aa");
    CHECK(typed({0x2a, 0x36, 0xaa, 0x1e, 0xb6, 0x1e}) == "Aa");  // one of two shifts is let go
    CHECK(typed({0x35, 0x34, 0x33, 0x28, 0x29, 0x2b, 0x0c, 0x0d}) == "/.,'`\\-=");
    CHECK(typed({0x1e, 0x1e, 0x1e, 0x9e}) == "aaa");  // held down
}

TEST_CASE("keyboard: control, alt, and the keys that a terminal has sequences for") {
    CHECK(typed_with(0x1d, 0x2e) == "\x03");
    CHECK(typed_with(0x1d, 0x1b) == "\x1d");  // Ctrl-] leaves a guest's console
    CHECK(typed({0xe0, 0x1d, 0x2e, 0xae, 0xe0, 0x9d, 0x2e}) ==
          "\x03"
          "c");
    CHECK(typed_with(0x1d, 0x39) == std::string(1, '\0'));
    CHECK(typed_with(0x38, 0x30) ==
          "\x1b"
          "b");
    CHECK(typed({0x0e, 0x0f, 0x01}) == "\x7f\t\x1b");
    CHECK(typed({0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x50, 0xe0, 0x4b, 0xe0, 0x4d}) == "\x1b[A\x1b[B\x1b[D\x1b[C");
    CHECK(typed({0xe0, 0x47, 0xe0, 0x4f, 0xe0, 0x53, 0xe0, 0x49}) == "\x1b[1~\x1b[4~\x1b[3~\x1b[5~");
    CHECK(typed({0x3b, 0x44, 0x57, 0x58}) == "\x1b[[A\x1b[21~\x1b[23~\x1b[24~");
    CHECK(typed({0x47, 0x52, 0x4a}) == "70-");  // num lock is on at first
    CHECK(typed({0x45, 0xc5, 0x47, 0x48, 0x4a}) == "\x1b[1~\x1b[A-");
    CHECK(typed({0xe0, 0x1c, 0xe0, 0x35}) == "\r/");  // of the keypad
}

TEST_CASE("keyboard: answers, pauses, fake shifts and rubbish are no characters") {
    CHECK(typed({0xfa, 0xfe, 0xee, 0xff}).empty());
    CHECK(typed({0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x1e}) == "a");
    CHECK(typed({0xe0, 0x2a, 0xe0, 0x4b, 0xe0, 0xcb, 0xe0, 0xaa, 0x1e}) ==
          "\x1b[D"
          "a");
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) CHECK(typed({a, b, 0x80 | a}).size() <= 20);
}

TEST_CASE("keyboard: the controller is set up, and its interrupts are answered whole") {
    Controller controller;
    controller.output = {{0x1e, false}, {0x55, true}};  // left from the firmware
    Keyboard keyboard{controller};
    REQUIRE(keyboard.present());
    CHECK((controller.config & 0x41) == 0x41);  // interrupt, translation
    CHECK((controller.config & 0x12) == 0);     // no mouse interrupt, keyboard on
    CHECK(controller.enabled);
    CHECK(controller.keyboard_got == 0xf4);
    std::vector<std::byte> out;
    controller.output = {{0x1e, false}, {0x30, true}, {0x9e, false}, {0x2e, false}};
    keyboard.interrupt(out);
    CHECK(controller.output.empty());
    CHECK(out.size() == 2);
}

TEST_CASE("keyboard: no controller, or one that never listens, is not waited for") {
    Controller missing;
    missing.missing = true;
    CHECK_FALSE(Keyboard{missing}.present());
    Controller stuck;
    stuck.stuck = true;
    Keyboard keyboard{stuck};
    CHECK_FALSE(keyboard.present());
    std::vector<std::byte> out;
    keyboard.interrupt(out);
    CHECK(out.empty());
}
