// SPDX-License-Identifier: Apache-2.0
// The operator's terminal as the shell and the commands see it: raw bytes in, raw bytes out, nothing known of
// its size. One thread uses it. `Terminal` is what the platform implements; `Console` is what commands use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

class Terminal {
  public:
    virtual ~Terminal() = default;

    // Waits at most timeout_ms (0 polls, negative waits without end) and gives the number of bytes read, 0
    // after a timeout. nullopt: the input has ended for good and will not come back.
    virtual std::optional<std::size_t> read(std::span<char> into, std::int64_t timeout_ms) = 0;

    // Writes all; blocks under back-pressure. A vanished terminal swallows it.
    virtual void write(std::string_view bytes) = 0;
};

// Type-ahead must survive a command that watches for Ctrl-C, so both the line editor and the commands read
// through this queue.
class Console {
  public:
    explicit Console(Terminal& terminal) : terminal_(terminal) {}

    // Text with '\n' line ends; the terminal is raw, so each becomes "\r\n".
    void print(std::string_view text);
    void write_raw(std::string_view bytes);
    // Ends a line that was left open, so that the prompt stands at the start of one.
    void finish_line();

    // The next byte, or nullopt after the timeout or at the end of the input (then ended() is true).
    std::optional<char> read_byte(std::int64_t timeout_ms);
    bool ended() const { return ended_; }

    // What was typed ahead, for whom the terminal goes to now; and back, should it not go.
    std::string take_typed();
    void give_back(std::string_view typed);

    // Whether the operator pressed Ctrl-C since the last call; consumes it and what was typed before it.
    bool interrupted();

  private:
    static constexpr std::size_t kMaxTypeAhead =
        16384;  // what comes on top is dropped, as a terminal driver does

    void fill(std::int64_t timeout_ms);

    Terminal& terminal_;
    std::deque<char> pending_;
    bool ended_ = false;
    bool line_open_ = false;
};

}  // namespace bulkhead::xl
