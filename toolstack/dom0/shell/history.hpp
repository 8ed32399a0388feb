// SPDX-License-Identifier: Apache-2.0
// The lines that were entered before, the newest last. Bounded; lives as long as the shell.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::shell {

class History {
  public:
    static constexpr std::size_t kMaxLines = 200;

    void add(const std::string& line);  // not empty lines, nor the same one twice in a row
    std::size_t size() const { return lines_.size(); }
    const std::string& at(std::size_t index) const { return lines_[index]; }

    // The newest line before `index` that contains `text`.
    std::optional<std::size_t> find_before(std::size_t index, std::string_view text) const;

  private:
    std::vector<std::string> lines_;
};

}  // namespace bulkhead::shell
