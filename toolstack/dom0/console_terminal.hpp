// SPDX-License-Identifier: Apache-2.0
// The operator's terminal: dom0's control channel to the console service. When that service comes back after
// its death, the line that the cursor stood on is printed again.
#pragma once

#include <deque>
#include <map>

#include "toolstack/dom0/loop.hpp"
#include "toolstack/xl/error.hpp"
#include "toolstack/xl/terminal.hpp"

namespace bulkhead::dom0 {

class ConsoleTerminal final : public xl::Terminal {
  public:
    // `idle` is what waiting for input does meanwhile: it turns the loop, and more.
    ConsoleTerminal(Loop& loop, cap::CapAddr endpoint, std::function<void(std::uint64_t)> idle);
    void start() { link_.start(); }
    bool up() const { return link_.up(); }

    std::optional<std::size_t> read(std::span<char> into, std::int64_t timeout_ms) override;
    void write(std::string_view bytes) override;

    // Gives the terminal to a domain, with what was typed for it already. Its end is told by attached()
    // becoming false.
    xl::Result<void> attach(std::uint64_t domain, std::string_view typed);
    bool attached() const { return attached_; }
    // Whether the attachment ended because the service did: attach again.
    bool interrupted() const { return interrupted_; }

    // What the console keeps of what the domain printed, from the oldest byte on.
    xl::Result<std::string> history(std::uint64_t domain);

    void forget(std::uint64_t domain);
    void rename(std::uint64_t domain, const std::string& name);

  private:
    void on_message(std::span<const std::uint64_t> words);
    void on_up();
    void on_down();

    Loop& loop_;
    std::function<void(std::uint64_t)> idle_;
    std::deque<char> input_;
    std::string line_;                                             // what was written since the last line end
    std::map<std::uint32_t, std::optional<std::string>> answers_;  // by request: an error, or empty
    std::string history_;                                          // of the last answer to a request for it
    std::uint64_t history_next_ = 0;
    bool history_end_ = false;
    std::uint32_t next_request_ = 1;
    bool attached_ = false, interrupted_ = false, was_up_ = false;
    Link link_;
};

}  // namespace bulkhead::dom0
