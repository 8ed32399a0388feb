// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/shell.hpp"

#include <array>

#include "toolstack/dom0/shell/command_line.hpp"
#include "toolstack/xl/xenstore_tools.hpp"
#include "toolstack/xl/xl.hpp"

namespace bulkhead::shell {

namespace {

constexpr ShellCommand kTools[] = {
    {"xl", "SUBCOMMAND ...", "manage domains; `xl help` lists the subcommands", xl::run_xl},
    {"xenstore", "CMD ...", "the same tools as below, by their short names", xl::run_xenstore_tool},
    {"xenstore-ls", "[-f] [-p] [PATH ...]", "show a tree of the xenstore", xl::run_xenstore_tool},
    {"xenstore-list", "[-p] PATH ...", "list the children of a node", xl::run_xenstore_tool},
    {"xenstore-read", "[-p] [-R] PATH ...", "read nodes", xl::run_xenstore_tool},
    {"xenstore-write", "[-R] PATH VALUE ...", "write nodes", xl::run_xenstore_tool},
    {"xenstore-rm", "[-t] PATH ...", "remove nodes", xl::run_xenstore_tool},
    {"xenstore-exists", "PATH ...", "succeed if the nodes exist", xl::run_xenstore_tool},
    {"xenstore-chmod", "[-u] [-r] PATH PERM ...", "set the permissions of a node", xl::run_xenstore_tool},
    {"xenstore-watch", "[-n NR] PATH ...", "print changes until Ctrl-C", xl::run_xenstore_tool},
};

std::array<std::span<const ShellCommand>, 3> tables() {
    return {kTools, system_commands(), builtin_commands()};
}

const ShellCommand* find_command(std::string_view name) {
    for (const auto table : tables()) {
        for (const auto& command : table) {
            if (command.name == name) return &command;
        }
    }
    return nullptr;
}

std::vector<std::string> command_names() {
    std::vector<std::string> names{"help"};
    for (const auto table : tables()) {
        for (const auto& command : table) names.emplace_back(command.name);
    }
    return names;
}

std::string usage_line(const ShellCommand& command) {
    const std::string usage =
        std::string(command.name) + (command.usage.empty() ? "" : " ") + std::string(command.usage);
    return xl::format("  %-34s %s\n", usage.c_str(), std::string(command.summary).c_str());
}

}  // namespace

Shell::Shell(xl::Backend& backend, xl::Terminal& terminal, int status)
    : console_(terminal),
      context_{backend, console_},
      completer_(backend, command_names()),
      editor_(console_, completer_),
      status_(status) {}

void Shell::run() {
    for (;;) {
        switch (editor_.read(kPrompt)) {
            case LineEnd::Entered: run_line(editor_.line()); break;
            case LineEnd::Cancelled: status_ = xl::kInterrupted; break;
            case LineEnd::TooLong:
                console_.print(
                    xl::format("shell: the line is longer than %zu characters and was not executed.\n",
                               LineEditor::kMaxLine));
                status_ = kSyntaxError;
                break;
            case LineEnd::InputEnded: return;
        }
    }
}

int Shell::run_line(std::string_view line) {
    const auto commands = parse_line(line);
    if (!commands) {
        console_.print("shell: " + xl::printable(commands.error().sentence) + "\n");
        return status_ = kSyntaxError;
    }
    for (const auto& command : *commands) {
        const bool wanted =
            command.joint == Joint::Always || (command.joint == Joint::IfSucceeded) == (status_ == 0);
        if (!wanted) continue;
        std::vector<std::string> words;
        for (const auto& word : command.words) words.push_back(expand(word, status_));
        status_ = run_command(words);
        console_.finish_line();
        // Ctrl-C ends the whole line, not only its current command.
        if (status_ == xl::kInterrupted) break;
    }
    return status_;
}

int Shell::run_command(const std::vector<std::string>& words) {
    if (words[0] == "help") return help(words);
    if (const auto* command = find_command(words[0])) return command->run(context_, words);
    console_.print("shell: " + xl::printable(words[0]) + ": no such command; `help` lists them.\n");
    return kNotFound;
}

int Shell::help(const std::vector<std::string>& words) {
    if (words.size() > 1) {
        const auto* command = find_command(words[1]);
        if (!command) {
            console_.print("help: " + xl::printable(words[1]) + ": no such command.\n");
            return xl::kFailure;
        }
        console_.print(usage_line(*command));
        return xl::kSuccess;
    }
    std::string out = "Commands:\n";
    for (const auto table : tables()) {
        for (const auto& command : table) out += usage_line(command);
    }
    out += xl::format("  %-34s %s\n", "help [COMMAND]", "show this list, or one line of it");
    out +=
        "Join commands with ; && and ||. Quote with ' \" and \\. $? is the last exit status.\n"
        "Keys: Tab completes; Up, Down and Ctrl-R recall lines; Ctrl-C cancels; Ctrl-] leaves a guest's "
        "console.\n";
    console_.print(out);
    return xl::kSuccess;
}

}  // namespace bulkhead::shell
