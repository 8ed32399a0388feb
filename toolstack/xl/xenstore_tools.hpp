// SPDX-License-Identifier: Apache-2.0
// The commands of xenstore(1): xenstore-ls, -read, -write, -list, -rm, -exists, -chmod, -watch; also as
// `xenstore CMD`.
#pragma once

#include <string_view>
#include <vector>

#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

// `words` begins with "xenstore-CMD" or with "xenstore", "CMD". Returns the exit status.
int run_xenstore_tool(Context& context, Words words);

// "ls", "read", … for completion.
std::vector<std::string_view> xenstore_tool_names();

}  // namespace bulkhead::xl
