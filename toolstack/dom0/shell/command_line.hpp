// SPDX-License-Identifier: Apache-2.0
// The shell's little language: words with quotes, `$?`, and commands joined by `;`, `&&` and `||`. Whatever
// else a Unix shell has is refused by name, so that nobody's line does something that it does not say.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "toolstack/xl/error.hpp"

namespace bulkhead::shell {

enum class Joint { Always /* first, or after ; */, IfSucceeded /* after && */, IfFailed /* after || */ };

struct SimpleCommand {
    Joint joint = Joint::Always;
    std::vector<std::string> words;  // kStatus stands for the last command's exit status
};

inline constexpr char kStatus = '\x01';

// An empty or commented line gives no commands.
xl::Result<std::vector<SimpleCommand>> parse_line(std::string_view line);

std::string expand(const std::string& word, int status);

}  // namespace bulkhead::shell
