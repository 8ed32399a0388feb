// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/xenstore_tools.hpp"

#include <array>

#include "toolstack/xl/xenstore_tool.hpp"

namespace bulkhead::xl {

namespace {

std::array<std::span<const XenstoreTool>, 2> tables() {
    return {xenstore_read_tools(), xenstore_write_tools()};
}

int run_tool(Context& context, const XenstoreTool& tool, Words words) {
    const std::string who = "xenstore-" + std::string(tool.name);
    const std::string usage = "Usage: " + who + " [-h] " + std::string(tool.usage) + "\n";
    if (!words.empty() && (words[0] == "-h" || words[0] == "--help")) {
        context.console.print(usage);
        return kSuccess;
    }
    const auto arguments = parse_arguments(who, words, tool.specs);
    if (!arguments) {
        context.console.print(arguments.error().sentence + "\n" + usage);
        return kFailure;
    }
    if (arguments->operands.size() < tool.least_operands) {
        context.console.print(usage);
        return kFailure;
    }
    return tool.run(context, *arguments);
}

}  // namespace

std::string absolute_path(std::string_view path) {
    std::string out = path.starts_with('/') || path.starts_with('@') ? std::string(path)
                                                                     : "/local/domain/0/" + std::string(path);
    while (out.size() > 1 && out.back() == '/') out.pop_back();
    return out;
}

std::string child_path(std::string_view parent, std::string_view name) {
    return (parent == "/" ? "" : std::string(parent)) + "/" + std::string(name);
}

std::string parent_path(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == 0 || slash == std::string_view::npos ? "/" : std::string(path.substr(0, slash));
}

int in_transaction(Context& context, std::string_view who, const std::function<int(TransactionId)>& body) {
    constexpr int kAttempts = 100;
    auto& store = context.backend.xenstore();
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const auto transaction = store.start_transaction();
        if (!transaction) return report(context, who, transaction.error());
        const int status = body(*transaction);
        const auto ended = store.end_transaction(*transaction, status == kSuccess);
        if (status != kSuccess || ended) return status;
        if (ended.error().kind != ErrorKind::Again) return report(context, who, ended.error());
    }
    return report(context, who,
                  {ErrorKind::Again,
                   format("%d attempts lost against other writers; nothing was changed.", kAttempts)});
}

int run_xenstore_tool(Context& context, Words words) {
    std::string name = words[0].starts_with("xenstore-") ? words[0].substr(9) : "";
    words = words.subspan(1);
    if (name.empty()) {
        if (words.empty()) {
            context.console.print("Usage: xenstore chmod|exists|list|ls|read|rm|watch|write [options] ...\n");
            return kFailure;
        }
        name = words[0];
        words = words.subspan(1);
    }
    for (const auto table : tables()) {
        for (const auto& tool : table) {
            if (tool.name == name) return run_tool(context, tool, words);
        }
    }
    const bool control = name == "control";
    context.console.print("xenstore: '" + printable(name) +
                          (control
                               ? "' is not supported by Bulkhead yet.\n"
                               : "' is unknown (known: chmod, exists, list, ls, read, rm, watch, write).\n"));
    return kFailure;
}

std::vector<std::string_view> xenstore_tool_names() {
    std::vector<std::string_view> names;
    for (const auto table : tables()) {
        for (const auto& tool : table) names.push_back(tool.name);
    }
    return names;
}

}  // namespace bulkhead::xl
