// SPDX-License-Identifier: Apache-2.0
// Command-line options as getopt_long reads them, without its globals, because all commands run in one
// process.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "toolstack/xl/error.hpp"

namespace bulkhead::xl {

struct OptionSpec {
    char letter;                 // 0: long form only
    std::string_view long_name;  // "": short form only
    bool takes_value = false;
    bool supported = true;  // false: xl has it, and it is refused by name
};

struct Option {
    const OptionSpec* spec;
    std::string value;
};

struct Arguments {
    std::vector<Option> options;
    std::vector<std::string> operands;

    bool has(char letter) const { return count(letter) > 0; }
    bool has(std::string_view long_name) const;
    std::size_t count(char letter) const;
    std::optional<std::string> value(char letter) const;  // of the last one
};

// Options may stand between operands, as with GNU getopt; "--" ends them. `-f=FILE` means `-f FILE`, as xl(1)
// writes it. `command` is how the error's sentence begins, for example "xl list".
Result<Arguments> parse_arguments(std::string_view command, std::span<const std::string> words,
                                  std::span<const OptionSpec> specs);

}  // namespace bulkhead::xl
