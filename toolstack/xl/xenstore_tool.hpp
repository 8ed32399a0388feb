// SPDX-License-Identifier: Apache-2.0
// What the files of xenstore tools share: one table entry per tool, path handling, and one transaction with
// retries.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

struct XenstoreTool {
    std::string_view name;
    std::string_view usage;
    std::size_t least_operands;
    std::span<const OptionSpec> specs;
    int (*run)(Context&, const Arguments&);
};

std::span<const XenstoreTool> xenstore_read_tools();
std::span<const XenstoreTool> xenstore_write_tools();

// An absolute path without a trailing '/' (the root stays "/"). Relative ones count from dom0's own subtree,
// as Xen's server has it.
std::string absolute_path(std::string_view path);
std::string child_path(std::string_view parent, std::string_view name);
std::string parent_path(std::string_view path);  // of "/": "/"

// Runs `body` in a transaction and commits it when it returns kSuccess; starts again when another change came
// between.
int in_transaction(Context& context, std::string_view who, const std::function<int(TransactionId)>& body);

}  // namespace bulkhead::xl
