// SPDX-License-Identifier: Apache-2.0
// dom0's shell: the prompt `dom0# ` and the commands behind it, all in this one process.
//
// The contract with scripts: a line ends with CR, LF or both; it is echoed; its output follows; then the
// prompt stands at the start of a line. `echo $?` tells the last command's exit status.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "toolstack/dom0/shell/line_editor.hpp"
#include "toolstack/xl/command.hpp"

namespace bulkhead::shell {

inline constexpr std::string_view kPrompt = "dom0# ";

struct ShellCommand {
    std::string_view name;
    std::string_view usage;
    std::string_view summary;
    int (*run)(xl::Context&, xl::Words);
};

// Each file of commands has a table; shell.cpp puts them together.
std::span<const ShellCommand> builtin_commands();
std::span<const ShellCommand> system_commands();

class Shell {
  public:
    static constexpr int kNotFound = 127;
    static constexpr int kSyntaxError = 2;
    static constexpr int kCutShort = 137;

    // `status` is what $? is before the first command: kCutShort when dom0 was restarted.
    Shell(xl::Backend& backend, xl::Terminal& terminal, int status = 0);

    // Prompts and runs lines until the input ends.
    void run();

    // Runs one line as if it was entered; returns and remembers its exit status.
    int run_line(std::string_view line);

  private:
    int run_command(const std::vector<std::string>& words);
    int help(const std::vector<std::string>& words);

    xl::Console console_;
    xl::Context context_;
    Completer completer_;
    LineEditor editor_;
    int status_;
};

}  // namespace bulkhead::shell
