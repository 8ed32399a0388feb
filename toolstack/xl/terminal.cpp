// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/terminal.hpp"

#include <algorithm>
#include <array>

namespace bulkhead::xl {

void Console::print(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') out += '\r';
        out += c;
    }
    write_raw(out);
}

void Console::write_raw(std::string_view bytes) {
    if (bytes.empty()) return;
    line_open_ = bytes.back() != '\n';
    terminal_.write(bytes);
}

void Console::finish_line() {
    if (line_open_) print("\n");
}

void Console::fill(std::int64_t timeout_ms) {
    if (ended_) return;
    std::array<char, 256> bytes;
    const auto count = terminal_.read(bytes, timeout_ms);
    if (!count) {
        ended_ = true;
        return;
    }
    const auto room = kMaxTypeAhead - pending_.size();
    const auto kept = std::min({*count, bytes.size(), room});
    pending_.insert(pending_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(kept));
}

std::optional<char> Console::read_byte(std::int64_t timeout_ms) {
    if (pending_.empty()) fill(timeout_ms);
    if (pending_.empty()) return std::nullopt;
    const char c = pending_.front();
    pending_.pop_front();
    return c;
}

std::string Console::take_typed() {
    std::string typed(pending_.begin(), pending_.end());
    pending_.clear();
    return typed;
}

void Console::give_back(std::string_view typed) {
    pending_.insert(pending_.begin(), typed.begin(), typed.end());
}

bool Console::interrupted() {
    constexpr char kCtrlC = 0x03;
    fill(0);
    const auto last = std::find(pending_.rbegin(), pending_.rend(), kCtrlC);
    if (last == pending_.rend()) return false;
    pending_.erase(pending_.begin(), last.base());
    return true;
}

}  // namespace bulkhead::xl
