// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/completer.hpp"

#include <algorithm>

#include "toolstack/xl/xenstore_tools.hpp"
#include "toolstack/xl/xl.hpp"

namespace bulkhead::shell {

namespace {

using Names = std::vector<std::string>;

Names to_strings(const std::vector<std::string_view>& views) {
    return {views.begin(), views.end()};
}

// The words of the simple command that the cursor is in, the last one (perhaps empty) being the one under the
// cursor. Completion helps with plain words; quotes are not looked into.
Names words_at_cursor(std::string_view line) {
    Names words{""};
    for (const char c : line) {
        if (c == ';' || c == '|' || c == '&') {
            words.assign(1, "");
        } else if (c == ' ') {
            if (!words.back().empty()) words.emplace_back();
        } else {
            words.back() += c;
        }
    }
    return words;
}

bool plain(const std::string& name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return c > ' ' && c <= '~' && std::string_view("'\"\\;|&$<>()`#").find(c) == std::string_view::npos;
    });
}

std::string folder_of(const std::string& path) {
    return path.substr(0, path.rfind('/') + 1);
}

}  // namespace

Completion Completer::complete(std::string_view line_to_cursor) {
    auto words = words_at_cursor(line_to_cursor);
    const std::string prefix = words.back();
    words.pop_back();
    Completion result;
    result.typed = prefix.size();
    for (auto& candidate : all_for(words, prefix)) {
        if (candidate.starts_with(prefix) && plain(candidate))
            result.candidates.push_back(std::move(candidate));
    }
    std::sort(result.candidates.begin(), result.candidates.end());
    result.candidates.erase(std::unique(result.candidates.begin(), result.candidates.end()),
                            result.candidates.end());
    return result;
}

Names Completer::all_for(const Names& words, const std::string& prefix) {
    if (words.empty()) return commands_;
    const auto& command = words[0];
    if (command == "xl") return for_xl(words, prefix);
    if (command == "stubdom") return for_stubdom(words);
    if (command == "help") return commands_;
    if (command == "cat" || command == "ls") return files(prefix);
    if (command == "xenstore" && words.size() == 1) return to_strings(xl::xenstore_tool_names());
    if (command.starts_with("xenstore")) return nodes(prefix);
    if (command == "trace" && words.size() == 1) return domain_names(true);
    if (command == "caps") {
        if (prefix.starts_with('-')) return {"--dot", "--json"};
        return domain_names(false);
    }
    return {};
}

Names Completer::for_xl(const Names& words, const std::string& prefix) {
    if (words.size() == 1) return to_strings(xl::xl_subcommand_names());
    const auto& subcommand = words[1];
    if (subcommand == "create") return files(prefix.empty() ? "/etc/xen/" : prefix);
    if (subcommand == "help") return to_strings(xl::xl_subcommand_names());
    if (subcommand == "info" || subcommand == "dmesg" || subcommand == "domname") return {};
    const bool any_domain = subcommand == "list" || subcommand == "vcpu-list" || subcommand == "uptime" ||
                            subcommand == "domid" || subcommand == "console";
    return domain_names(!any_domain);
}

Names Completer::for_stubdom(const Names& words) {
    if (words.size() == 1) return {"kill", "list", "restart"};
    const bool kill = words[1] == "kill";
    Names names;
    if (const auto all = backend_.stub_domains(); all && (kill || words[1] == "restart")) {
        for (const auto& domain : *all) {
            const auto end = domain.name.find(' ');  // "debian (vmm)"
            if (kill || end == std::string::npos) names.push_back(domain.name.substr(0, end));
        }
    }
    return names;
}

Names Completer::domain_names(bool guests_only) {
    Names names;
    if (const auto all = backend_.domains()) {
        for (const auto& domain : *all) {
            if (!guests_only || domain.kind == xl::DomainKind::Guest) names.push_back(domain.name);
        }
    }
    return names;
}

Names Completer::files(const std::string& prefix) {
    const auto folder = folder_of(prefix);
    // A name without a folder counts from /etc/xen, as `xl create` has it.
    const auto entries = backend_.list_directory(folder.starts_with('/') ? folder : "/etc/xen/" + folder);
    Names names;
    if (entries) {
        for (const auto& entry : *entries) names.push_back(folder + entry);
    }
    return names;
}

Names Completer::nodes(const std::string& prefix) {
    const auto folder = folder_of(prefix);
    if (!folder.starts_with('/')) return prefix.empty() ? Names{"/"} : Names{};
    const auto entries = backend_.xenstore().directory(
        xl::kNoTransaction, folder.size() > 1 ? folder.substr(0, folder.size() - 1) : folder);
    Names names;
    if (entries) {
        for (const auto& entry : *entries) names.push_back(folder + entry);
    }
    return names;
}

}  // namespace bulkhead::shell
