// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/history.hpp"

namespace bulkhead::shell {

void History::add(const std::string& line) {
    const bool blank = line.find_first_not_of(' ') == std::string::npos;
    if (blank || (!lines_.empty() && lines_.back() == line)) return;
    if (lines_.size() == kMaxLines) lines_.erase(lines_.begin());
    lines_.push_back(line);
}

std::optional<std::size_t> History::find_before(std::size_t index, std::string_view text) const {
    for (std::size_t i = index < lines_.size() ? index : lines_.size(); i > 0; --i) {
        if (lines_[i - 1].find(text) != std::string::npos) return i - 1;
    }
    return std::nullopt;
}

}  // namespace bulkhead::shell
