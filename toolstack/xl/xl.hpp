// SPDX-License-Identifier: Apache-2.0
// The `xl` command: finds the subcommand, checks its arguments, runs it.
#pragma once

#include <string_view>
#include <vector>

#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

// `words` begins with "xl". Returns the exit status.
int run_xl(Context& context, Words words);

// For completion, in the order of `xl help`.
std::vector<std::string_view> xl_subcommand_names();

}  // namespace bulkhead::xl
