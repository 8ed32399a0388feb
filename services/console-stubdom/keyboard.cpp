// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/keyboard.hpp"

#include <string_view>

namespace bulkhead::console {
namespace {

enum Register : unsigned { kData = 0, kStatus = 1, kCommand = 1 };
constexpr uint8_t kOutputFull = 1, kInputFull = 2, kFromMouse = 0x20;
constexpr uint8_t kReadConfig = 0x20, kWriteConfig = 0x60, kDisableMouse = 0xa7, kDisableKeyboard = 0xad,
                  kEnableKeyboard = 0xae;
constexpr uint8_t kConfigInterrupt = 1, kConfigMouseInterrupt = 2, kConfigKeyboardOff = 0x10,
                  kConfigMouseOff = 0x20, kConfigTranslate = 0x40;
constexpr uint8_t kScan = 0xf4;        // to the keyboard: send what is typed
constexpr unsigned kPatience = 20000;  // polls of the status register, about a microsecond each
constexpr unsigned kBurst = 64;        // bytes taken in one interrupt, at most

constexpr uint8_t kReleased = 0x80, kExtended = 0xe0, kPause = 0xe1;
constexpr uint8_t kEscapeByte = 0x1b;
enum Key : uint8_t {
    kControl = 0x1d,
    kLeftShift = 0x2a,
    kRightShift = 0x36,
    kAlt = 0x38,
    kCapsLock = 0x3a,
    kF1 = 0x3b,
    kNumLock = 0x45,
    kHome = 0x47,
    kUp = 0x48,
    kPageUp = 0x49,
    kLeft = 0x4b,
    kRight = 0x4d,
    kEnd = 0x4f,
    kDown = 0x50,
    kPageDown = 0x51,
    kInsert = 0x52,
    kDelete = 0x53,
    kF11 = 0x57,
    kF12 = 0x58
};

// Index: scan code. Blank: no character.
constexpr std::string_view kPlain = {
    "\0\x1b"
    "1234567890-=\x7f\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ",
    0x3a};
constexpr std::string_view kShifted = {
    "\0\x1b!@#$%^&*()_+\x7f\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ", 0x3a};
constexpr std::string_view kKeypadDigits = "789-456+1230.";  // from kHome on
static_assert(kPlain[0x10] == 'q' && kPlain[0x1e] == 'a' && kPlain[0x2c] == 'z' && kPlain[0x39] == ' ' &&
              kShifted[0x35] == '?');

void put(std::vector<std::byte>& out, std::string_view text) {
    for (const char c : text) out.push_back(static_cast<std::byte>(c));
}

// As the Linux console sends them; empty: none.
std::string_view cursor_sequence(uint8_t key) {
    switch (key) {
        case kHome: return "\x1b[1~";
        case kUp: return "\x1b[A";
        case kPageUp: return "\x1b[5~";
        case kLeft: return "\x1b[D";
        case kRight: return "\x1b[C";
        case kEnd: return "\x1b[4~";
        case kDown: return "\x1b[B";
        case kPageDown: return "\x1b[6~";
        case kInsert: return "\x1b[2~";
        case kDelete: return "\x1b[3~";
        default: return {};
    }
}

}  // namespace

void KeyDecoder::feed(uint8_t byte, std::vector<std::byte>& out) {
    if (skip_ != 0) {
        skip_--;
        return;
    }
    if (byte == kExtended) {
        extended_ = true;
        return;
    }
    if (byte == kPause) {
        skip_ = 2;
        return;
    }
    const bool down = (byte & kReleased) == 0;
    const auto key = static_cast<uint8_t>(byte & ~kReleased);
    if (extended_) {
        extended_ = false;
        return extended(key, down, out);
    }
    if (byte >= 0xee) return;  // answers of the keyboard: echo, acknowledge, resend, errors
    if (modifier(key, down) || !down || function_key(key, out) || keypad(key, out)) return;
    character(key, out);
}

void KeyDecoder::extended(uint8_t key, bool down, std::vector<std::byte>& out) {
    if (key == kControl) right_control_ = down;
    if (key == kAlt) alt_ = down;
    if (!down || key == kControl || key == kAlt) return;
    if (key == 0x1c) return put(out, "\r");
    if (key == 0x35) return put(out, "/");
    put(out, cursor_sequence(key));
}

bool KeyDecoder::modifier(uint8_t key, bool down) {
    switch (key) {
        case kLeftShift: left_shift_ = down; return true;
        case kRightShift: right_shift_ = down; return true;
        case kControl: left_control_ = down; return true;
        case kAlt: alt_ = down; return true;
        case kCapsLock: caps_lock_ ^= down; return true;
        case kNumLock: num_lock_ ^= down; return true;
        default: return false;
    }
}

bool KeyDecoder::function_key(uint8_t key, std::vector<std::byte>& out) {
    static constexpr std::string_view kSequences[] = {"[[A",  "[[B",  "[[C",  "[[D",  "[[E",  "[17~",
                                                      "[18~", "[19~", "[20~", "[21~", "[23~", "[24~"};
    const bool first_ten = key >= kF1 && key < kF1 + 10;
    if (!first_ten && key != kF11 && key != kF12) return false;
    put(out, "\x1b");
    put(out, kSequences[first_ten ? key - kF1 : key - kF11 + 10]);
    return true;
}

bool KeyDecoder::keypad(uint8_t key, std::vector<std::byte>& out) {
    if (key < kHome || key > kDelete) return false;
    const char digit = kKeypadDigits[key - kHome];
    if (num_lock_ || digit == '-' || digit == '+')
        out.push_back(static_cast<std::byte>(digit));
    else
        put(out, cursor_sequence(key));
    return true;
}

void KeyDecoder::character(uint8_t key, std::vector<std::byte>& out) {
    if (key >= kPlain.size() || kPlain[key] == '\0') return;
    const char plain = kPlain[key];
    const bool letter = plain >= 'a' && plain <= 'z', shift = left_shift_ || right_shift_;
    char c = shift != (letter && caps_lock_) ? kShifted[key] : plain;
    if (left_control_ || right_control_) {
        if (c == ' ' || c == '2')
            c = '\0';  // Ctrl-Space, Ctrl-@
        else if (c == '/')
            c = 0x1f;
        else if (c >= '?' && c <= '~')
            c = c == '?' ? 0x7f : static_cast<char>(c & 0x1f);
    }
    if (alt_) out.push_back(std::byte{kEscapeByte});
    out.push_back(static_cast<std::byte>(c));
}

bool Keyboard::writable() {
    for (unsigned i = 0; i < kPatience; i++)
        if ((ports_.in(kStatus)&kInputFull) == 0) return true;
    return false;
}

bool Keyboard::command(uint8_t byte) {
    if (!writable()) return false;
    ports_.out(kCommand, byte);
    return true;
}

bool Keyboard::data(uint8_t byte) {
    if (!writable()) return false;
    ports_.out(kData, byte);
    return true;
}

bool Keyboard::answer(uint8_t& byte) {
    for (unsigned i = 0; i < kPatience; i++)
        if (ports_.in(kStatus)&kOutputFull) {
            byte = ports_.in(kData);
            return true;
        }
    return false;
}

Keyboard::Keyboard(Ports& ports) : ports_{ports} {
    if (ports_.in(kStatus) == 0xff) return;
    uint8_t config = 0, ignored;
    if (!command(kDisableKeyboard) || !command(kDisableMouse)) return;
    for (unsigned i = 0; i < kBurst && (ports_.in(kStatus)&kOutputFull); i++) (void)ports_.in(kData);
    if (!command(kReadConfig) || !answer(config)) return;
    config = static_cast<uint8_t>((config | kConfigInterrupt | kConfigMouseOff | kConfigTranslate) &
                                  ~(kConfigMouseInterrupt | kConfigKeyboardOff));
    if (!command(kWriteConfig) || !data(config) || !command(kEnableKeyboard) || !data(kScan)) return;
    (void)answer(ignored);
    present_ = true;
}

// An edge-triggered line: the controller's buffer must be empty when we leave, or there is no further edge.
void Keyboard::interrupt(std::vector<std::byte>& out) {
    if (!present_) return;
    for (unsigned i = 0; i < kBurst; i++) {
        const uint8_t status = ports_.in(kStatus);
        if ((status & kOutputFull) == 0) return;
        const uint8_t byte = ports_.in(kData);
        if ((status & kFromMouse) == 0) decoder_.feed(byte, out);
    }
}

}  // namespace bulkhead::console
