// SPDX-License-Identifier: Apache-2.0
// Reads one line from a raw terminal, with editing, history and completion.
//
// A script sees plain text: typed at the end of the line, a character is echoed as itself and Enter as
// "\r\n". Escape sequences are written only for editing inside a line, and the terminal's size never matters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "toolstack/dom0/shell/completer.hpp"
#include "toolstack/dom0/shell/history.hpp"
#include "toolstack/dom0/shell/key_decoder.hpp"
#include "toolstack/xl/terminal.hpp"

namespace bulkhead::shell {

enum class LineEnd {
    Entered,
    Cancelled /* Ctrl-C */,
    TooLong /* entered, but characters were dropped: do not run it */,
    InputEnded
};

class LineEditor {
  public:
    static constexpr std::size_t kMaxLine = 2048;

    LineEditor(xl::Console& console, Completer& completer)
        : console_(console), keys_(console), completer_(completer) {}

    // Prints the prompt and returns how the line ended; the line itself is in line().
    LineEnd read(std::string_view prompt);
    const std::string& line() const { return line_; }

  private:
    void handle(const Key& key);
    void insert(std::string_view text);
    void erase(std::size_t from, std::size_t to);  // the cursor ends at `from`
    void move_to(std::size_t position);
    void replace(const std::string& text);
    void show_tail();  // everything from the cursor on, cursor back
    void show_all();   // prompt and line on the current, empty row
    void recall(std::size_t index);
    void search();  // Ctrl-R: the newest older line that contains what is before the cursor
    void complete();
    void offer(const Completion& completion);
    std::size_t word_left() const;
    std::size_t word_right() const;

    xl::Console& console_;
    KeyDecoder keys_;
    Completer& completer_;
    History history_;
    std::string prompt_;
    std::string line_;
    std::string draft_;  // what was typed before Up
    std::size_t cursor_ = 0;
    std::size_t recalled_ = 0;  // index into the history; its size: the draft
    std::string search_text_;
    bool overflowed_ = false;
};

}  // namespace bulkhead::shell
