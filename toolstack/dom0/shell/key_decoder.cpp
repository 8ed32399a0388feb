// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/key_decoder.hpp"

#include <string>

namespace bulkhead::shell {

namespace {

constexpr char kEscape = 0x1b;

KeyKind control_key(char c) {
    switch (c) {
        case 0x01: return KeyKind::Home;         // Ctrl-A
        case 0x02: return KeyKind::Left;         // Ctrl-B
        case 0x03: return KeyKind::Cancel;       // Ctrl-C
        case 0x04: return KeyKind::EndOrDelete;  // Ctrl-D
        case 0x05: return KeyKind::End;          // Ctrl-E
        case 0x06: return KeyKind::Right;        // Ctrl-F
        case 0x08: return KeyKind::Backspace;
        case 0x09: return KeyKind::Tab;
        case 0x0b: return KeyKind::KillToEnd;    // Ctrl-K
        case 0x0c: return KeyKind::Redraw;       // Ctrl-L
        case 0x0e: return KeyKind::Down;         // Ctrl-N
        case 0x10: return KeyKind::Up;           // Ctrl-P
        case 0x12: return KeyKind::Search;       // Ctrl-R
        case 0x15: return KeyKind::KillToStart;  // Ctrl-U
        case 0x17: return KeyKind::KillWord;     // Ctrl-W
        case 0x7f: return KeyKind::Backspace;
        default: return KeyKind::Ignored;
    }
}

// The last byte of "ESC [ parameters final" and the parameters, as VT100, xterm, rxvt and the Linux console
// send them.
KeyKind csi_key(const std::string& parameters, char final) {
    const bool modified = parameters.find(';') != std::string::npos;  // with Ctrl, Alt or Shift
    switch (final) {
        case 'A': return KeyKind::Up;
        case 'B': return KeyKind::Down;
        case 'C': return modified ? KeyKind::WordRight : KeyKind::Right;
        case 'D': return modified ? KeyKind::WordLeft : KeyKind::Left;
        case 'H': return KeyKind::Home;
        case 'F': return KeyKind::End;
        case '~': break;
        default: return KeyKind::Ignored;
    }
    const auto number = parameters.substr(0, parameters.find(';'));
    if (number == "1" || number == "7") return KeyKind::Home;
    if (number == "4" || number == "8") return KeyKind::End;
    if (number == "3") return KeyKind::Delete;
    return KeyKind::Ignored;
}

}  // namespace

Key KeyDecoder::next() {
    const auto byte = console_.read_byte(-1);
    if (!byte) return {console_.ended() ? KeyKind::InputEnded : KeyKind::Ignored};
    const bool second_half = after_return_ && *byte == '\n';
    after_return_ = *byte == '\r';
    if (second_half) return {};
    if (*byte == '\r' || *byte == '\n') return {KeyKind::Enter};
    if (*byte == kEscape) return escape_sequence();
    if (*byte >= ' ' && *byte <= '~') return {KeyKind::Character, *byte};
    return {control_key(*byte)};
}

Key KeyDecoder::escape_sequence() {
    // The rest of a sequence follows at once; a lone Escape key is followed by nothing for longer than this.
    constexpr std::int64_t kRestMs = 50;
    constexpr std::size_t kMaxParameters = 16;
    const auto introducer = console_.read_byte(kRestMs);
    if (!introducer) return {};
    if (*introducer == 'b') return {KeyKind::WordLeft};
    if (*introducer == 'f') return {KeyKind::WordRight};
    if (*introducer == 'O') {
        const auto final = console_.read_byte(kRestMs);
        return {final ? csi_key("", *final) : KeyKind::Ignored};
    }
    if (*introducer != '[') return {};
    std::string parameters;
    for (;;) {
        const auto byte = console_.read_byte(kRestMs);
        if (!byte) return {};
        if (*byte >= '@' && *byte <= '~') return {csi_key(parameters, *byte)};
        if (*byte < ' ' || *byte > '?' || parameters.size() == kMaxParameters) return {};
        parameters += *byte;
    }
}

}  // namespace bulkhead::shell
