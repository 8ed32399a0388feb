// SPDX-License-Identifier: Apache-2.0
// Bytes of a terminal into keys. Any byte string is harmless: what is no known key is nothing.
#pragma once

#include <cstdint>

#include "toolstack/xl/terminal.hpp"

namespace bulkhead::shell {

enum class KeyKind : std::uint8_t {
    Character,
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    WordLeft,
    WordRight,
    KillToEnd,    // Ctrl-K
    KillToStart,  // Ctrl-U
    KillWord,     // Ctrl-W
    Redraw,       // Ctrl-L
    Cancel,       // Ctrl-C
    EndOrDelete,  // Ctrl-D
    Search,       // Ctrl-R
    Ignored,
    InputEnded,
};

struct Key {
    KeyKind kind = KeyKind::Ignored;
    char character = 0;
};

class KeyDecoder {
  public:
    explicit KeyDecoder(xl::Console& console) : console_(console) {}
    Key next();  // waits without end

  private:
    Key escape_sequence();

    xl::Console& console_;
    bool after_return_ = false;  // "\r\n" is one Enter
};

}  // namespace bulkhead::shell
