// SPDX-License-Identifier: Apache-2.0
// What Tab offers: commands, subcommands, domains, stub domains, files, xenstore paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "toolstack/xl/backend.hpp"

namespace bulkhead::shell {

// The words that may stand where the cursor is. `typed` is how much of the line before the cursor they
// replace.
struct Completion {
    std::size_t typed = 0;
    std::vector<std::string> candidates;  // sorted, without duplicates, each beginning with the typed text; a
                                          // final '/' means that more follows
};

class Completer {
  public:
    Completer(xl::Backend& backend, std::vector<std::string> commands)
        : backend_(backend), commands_(std::move(commands)) {}

    Completion complete(std::string_view line_to_cursor);

  private:
    std::vector<std::string> all_for(const std::vector<std::string>& words, const std::string& prefix);
    std::vector<std::string> for_xl(const std::vector<std::string>& words, const std::string& prefix);
    std::vector<std::string> for_stubdom(const std::vector<std::string>& words);
    std::vector<std::string> domain_names(bool guests_only);
    std::vector<std::string> files(const std::string& prefix);
    std::vector<std::string> nodes(const std::string& prefix);

    xl::Backend& backend_;
    std::vector<std::string> commands_;
};

}  // namespace bulkhead::shell
