// SPDX-License-Identifier: Apache-2.0
// xenstore-ls, -list, -read, -exists, -watch: what only looks.
#include <algorithm>

#include "toolstack/xl/xenstore_tool.hpp"

namespace bulkhead::xl {

namespace {

// Deep enough for any path of 3072 bytes that people make; a deeper tree is cut there, said so, and no stack
// is at risk.
constexpr std::size_t kMaxDepth = 128;

std::string permission_text(const std::vector<NodePermission>& list) {
    std::string out;
    for (const auto& entry : list)
        out += format("%s%c%u", out.empty() ? "" : ",", static_cast<char>(entry.access), entry.domain);
    return out;
}

class Lister {
  public:
    Lister(Context& context, bool full_path, bool show_permissions)
        : context_(context), full_path_(full_path), show_permissions_(show_permissions) {}

    // The children of `path`; false after an error, which was printed.
    bool list(const std::string& path, std::size_t depth) {
        auto& store = context_.backend.xenstore();
        auto names = store.directory(kNoTransaction, path);
        if (!names) {
            if (depth > 0 && names.error().kind == ErrorKind::NotFound) return true;  // removed while we walk
            report(context_, "xenstore-ls: " + printable(path), names.error());
            return false;
        }
        std::sort(names->begin(), names->end());
        for (const auto& name : *names) {
            if (context_.console.interrupted()) return false;
            const auto child = child_path(path, name);
            if (!show(child, name, depth)) return false;
            if (depth + 1 == kMaxDepth) {
                context_.console.print("xenstore-ls: " + printable(child) + ": not shown any deeper.\n");
                continue;
            }
            if (!list(child, depth + 1)) return false;
        }
        return true;
    }

  private:
    bool show(const std::string& child, const std::string& name, std::size_t depth) {
        auto& store = context_.backend.xenstore();
        const auto value = store.read(kNoTransaction, child);
        if (!value && value.error().kind == ErrorKind::NotFound) return true;
        std::string line = full_path_ ? printable(child) : std::string(depth, ' ') + printable(name);
        if (value) {
            line += " = \"" + escaped(*value) + "\"";
        } else if (value.error().kind == ErrorKind::Denied) {
            line += ":  (access denied)";
        } else {
            report(context_, "xenstore-ls: " + printable(child), value.error());
            return false;
        }
        if (show_permissions_) {
            if (const auto list = store.permissions(kNoTransaction, child))
                line += "   (" + permission_text(*list) + ")";
        }
        context_.console.print(line + "\n");
        return true;
    }

    Context& context_;
    bool full_path_;
    bool show_permissions_;
};

int ls(Context& context, const Arguments& arguments) {
    Lister lister(context, arguments.has('f'), arguments.has('p'));
    auto paths = arguments.operands;
    if (paths.empty()) paths.push_back("/");
    for (const auto& path : paths) {
        if (paths.size() > 1) context.console.print(printable(path) + ":\n");
        if (!lister.list(absolute_path(path), 0)) return kFailure;
    }
    return kSuccess;
}

int read(Context& context, const Arguments& arguments) {
    for (const auto& operand : arguments.operands) {
        const auto value = context.backend.xenstore().read(kNoTransaction, absolute_path(operand));
        if (!value) {
            context.console.print("xenstore-read: couldn't read path " + printable(operand) + ": " +
                                  printable(value.error().sentence) + "\n");
            return kFailure;
        }
        if (arguments.has('p')) context.console.print(printable(operand) + ": ");
        if (arguments.has('R')) {
            context.console.write_raw(*value);
            context.console.print("\n");
        } else {
            context.console.print(escaped(*value) + "\n");
        }
    }
    return kSuccess;
}

int list(Context& context, const Arguments& arguments) {
    for (const auto& operand : arguments.operands) {
        auto names = context.backend.xenstore().directory(kNoTransaction, absolute_path(operand));
        if (!names) {
            context.console.print("xenstore-list: could not list path " + printable(operand) + ": " +
                                  printable(names.error().sentence) + "\n");
            return kFailure;
        }
        std::sort(names->begin(), names->end());
        std::string out;
        for (const auto& name : *names)
            out += printable(arguments.has('p') ? child_path(operand, name) : name) + "\n";
        context.console.print(out);
    }
    return kSuccess;
}

int exists(Context& context, const Arguments& arguments) {
    for (const auto& operand : arguments.operands) {
        const auto value = context.backend.xenstore().read(kNoTransaction, absolute_path(operand));
        if (value) continue;
        // Silent for the answer "no", as scripts expect; not for a failure to ask.
        if (value.error().kind != ErrorKind::NotFound)
            report(context, "xenstore-exists: " + printable(operand), value.error());
        return kFailure;
    }
    return kSuccess;
}

// The events of one watch until Ctrl-C, or until there were `limit` (negative: no limit).
int print_events(Context& context, std::int64_t limit) {
    constexpr std::int64_t kSliceMs = 100;
    while (limit != 0) {
        const auto event = context.backend.xenstore().next_event(kSliceMs);
        if (!event) return report(context, "xenstore-watch", event.error());
        if (*event) {
            context.console.print(printable(**event) + "\n");
            if (limit > 0) --limit;
        }
        if (context.console.interrupted()) return kInterrupted;
        if (context.console.ended()) return kFailure;
    }
    return kSuccess;
}

int watch(Context& context, const Arguments& arguments) {
    std::int64_t limit = -1;
    if (const auto text = arguments.value('n')) {
        const auto number = parse_decimal(*text);
        if (!number || *number > 1'000'000'000) {
            context.console.print("xenstore-watch: expected a number of events after -n, found '" +
                                  printable(*text) + "'.\n");
            return kFailure;
        }
        limit = static_cast<std::int64_t>(*number);
    }
    auto& store = context.backend.xenstore();
    std::vector<std::string> watched;
    int status = kSuccess;
    for (const auto& operand : arguments.operands) {
        const auto path = absolute_path(operand);
        const auto ok = store.watch(path);
        if (!ok) {
            status = report(context, "xenstore-watch: " + printable(operand), ok.error());
            break;
        }
        watched.push_back(path);
    }
    if (status == kSuccess) status = print_events(context, limit);
    for (const auto& path : watched) static_cast<void>(store.unwatch(path));
    return status;
}

// -s asks for the socket of a daemon, and there is none.
constexpr OptionSpec kLs[] = {{'f', ""}, {'p', ""}, {'s', "", false, false}};
constexpr OptionSpec kRead[] = {{'p', ""}, {'R', ""}, {'s', "", false, false}};
constexpr OptionSpec kList[] = {{'p', ""}, {'s', "", false, false}};
constexpr OptionSpec kExists[] = {{'p', "", false, false}, {'s', "", false, false}};
constexpr OptionSpec kWatch[] = {{'n', "", true}, {'s', "", false, false}};

constexpr XenstoreTool kTools[] = {
    {"ls", "[-f] [-p] [path ...]", 0, kLs, ls},       {"read", "[-p] [-R] key [...]", 1, kRead, read},
    {"list", "[-p] key [...]", 1, kList, list},       {"exists", "key [...]", 1, kExists, exists},
    {"watch", "[-n NR] key [...]", 1, kWatch, watch},
};

}  // namespace

std::span<const XenstoreTool> xenstore_read_tools() {
    return kTools;
}

}  // namespace bulkhead::xl
