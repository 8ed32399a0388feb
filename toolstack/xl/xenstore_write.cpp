// SPDX-License-Identifier: Apache-2.0
// xenstore-write, -rm, -chmod: what changes the store, each in one transaction.
#include "toolstack/xl/xenstore_tool.hpp"

namespace bulkhead::xl {

namespace {

int write(Context& context, const Arguments& arguments) {
    const auto& words = arguments.operands;
    if (words.size() % 2 != 0) {
        context.console.print("xenstore-write: expected a value after the key " + printable(words.back()) +
                              ".\n");
        return kFailure;
    }
    std::vector<std::string> values;
    for (std::size_t i = 1; i < words.size(); i += 2) {
        const auto value = arguments.has('R') ? std::optional<std::string>(words[i]) : unescaped(words[i]);
        if (!value) {
            context.console.print(
                "xenstore-write: '" + printable(words[i]) +
                "' has a malformed escape (known: \\n \\r \\t \\\\ \\\" \\xHH; -R takes it as it is).\n");
            return kFailure;
        }
        values.push_back(*value);
    }
    return in_transaction(context, "xenstore-write", [&](TransactionId transaction) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto ok =
                context.backend.xenstore().write(transaction, absolute_path(words[2 * i]), values[i]);
            if (ok) continue;
            context.console.print("xenstore-write: could not write path " + printable(words[2 * i]) + ": " +
                                  printable(ok.error().sentence) + "\n");
            return kFailure;
        }
        return kSuccess;
    });
}

// Removes the empty parents of a removed node, from the bottom up, as far as they have neither children nor a
// value.
void tidy(Xenstore& store, TransactionId transaction, std::string path) {
    for (path = parent_path(path); path != "/"; path = parent_path(path)) {
        const auto children = store.directory(transaction, path);
        const auto value = store.read(transaction, path);
        if (!children || !children->empty() || !value || !value->empty()) return;
        if (!store.remove(transaction, path)) return;
    }
}

int remove(Context& context, const Arguments& arguments) {
    return in_transaction(context, "xenstore-rm", [&](TransactionId transaction) {
        auto& store = context.backend.xenstore();
        for (const auto& operand : arguments.operands) {
            const auto path = absolute_path(operand);
            // Removing what is not there succeeds in the protocol; a person who mistypes a path wants to
            // know.
            auto ok = store.read(transaction, path);
            if (ok || ok.error().kind == ErrorKind::Denied) {
                if (auto removed = store.remove(transaction, path); !removed)
                    ok = std::unexpected(removed.error());
            }
            if (!ok) {
                context.console.print("xenstore-rm: could not remove path " + printable(operand) + ": " +
                                      printable(ok.error().sentence) + "\n");
                return kFailure;
            }
            if (arguments.has('t')) tidy(store, transaction, path);
        }
        return kSuccess;
    });
}

std::optional<NodePermission> parse_permission(std::string_view text) {
    if (text.empty()) return std::nullopt;
    const auto domain = parse_decimal(text.substr(1));
    if (!domain || *domain > UINT32_MAX) return std::nullopt;
    for (const auto access : {NodeAccess::None, NodeAccess::Read, NodeAccess::Write, NodeAccess::Both}) {
        if (text[0] == static_cast<char>(access))
            return NodePermission{access, static_cast<std::uint32_t>(*domain)};
    }
    return std::nullopt;
}

class Chmod {
  public:
    Chmod(Context& context, TransactionId transaction, const std::vector<NodePermission>& list)
        : context_(context), transaction_(transaction), list_(list) {}

    int set(const std::string& path) {
        const auto ok = context_.backend.xenstore().set_permissions(transaction_, path, list_);
        return ok ? kSuccess : report(context_, "xenstore-chmod: " + printable(path), ok.error());
    }

    int set_below(const std::string& path, std::size_t depth) {
        constexpr std::size_t kMaxDepth = 128;
        if (depth == kMaxDepth)
            return report(context_, "xenstore-chmod: " + printable(path),
                          {ErrorKind::Invalid, "the tree is too deep for -r."});
        const auto names = context_.backend.xenstore().directory(transaction_, path);
        if (!names) return report(context_, "xenstore-chmod: " + printable(path), names.error());
        for (const auto& name : *names) {
            const auto child = child_path(path, name);
            if (set(child) != kSuccess || set_below(child, depth + 1) != kSuccess) return kFailure;
        }
        return kSuccess;
    }

    int set_above(const std::string& path) {
        for (auto parent = parent_path(path); parent != "/"; parent = parent_path(parent)) {
            if (set(parent) != kSuccess) return kFailure;
        }
        return kSuccess;
    }

  private:
    Context& context_;
    TransactionId transaction_;
    const std::vector<NodePermission>& list_;
};

int chmod(Context& context, const Arguments& arguments) {
    std::vector<NodePermission> list;
    for (std::size_t i = 1; i < arguments.operands.size(); ++i) {
        const auto permission = parse_permission(arguments.operands[i]);
        if (!permission) {
            context.console.print(
                "xenstore-chmod: expected one of r w b n and a domain ID, as in 'r4', found '" +
                printable(arguments.operands[i]) + "'.\n");
            return kFailure;
        }
        list.push_back(*permission);
    }
    const auto path = absolute_path(arguments.operands[0]);
    return in_transaction(context, "xenstore-chmod", [&](TransactionId transaction) {
        Chmod change(context, transaction, list);
        if (change.set(path) != kSuccess) return kFailure;
        if (arguments.has('r') && change.set_below(path, 0) != kSuccess) return kFailure;
        if (arguments.has('u') && change.set_above(path) != kSuccess) return kFailure;
        return kSuccess;
    });
}

constexpr OptionSpec kWrite[] = {{'R', ""}, {'s', "", false, false}};
constexpr OptionSpec kRemove[] = {{'t', ""}, {'s', "", false, false}};
constexpr OptionSpec kChmod[] = {{'u', ""}, {'r', ""}, {'s', "", false, false}};

constexpr XenstoreTool kTools[] = {
    {"write", "[-R] key value [...]", 2, kWrite, write},
    {"rm", "[-t] key [...]", 1, kRemove, remove},
    {"chmod", "[-u] [-r] key <mode [modes...]>", 2, kChmod, chmod},
};

}  // namespace

std::span<const XenstoreTool> xenstore_write_tools() {
    return kTools;
}

}  // namespace bulkhead::xl
