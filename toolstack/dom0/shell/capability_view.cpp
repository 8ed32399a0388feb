// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/capability_view.hpp"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "toolstack/xl/text.hpp"

namespace bulkhead::shell {

namespace {

using ULL = unsigned long long;

std::string size_text(std::uint64_t bytes) {
    constexpr std::uint64_t kKib = 1024, kMib = kKib * 1024, kGib = kMib * 1024;
    if (bytes == 0) return "-";
    if (bytes % kGib == 0) return xl::format("%llu GiB", static_cast<ULL>(bytes / kGib));
    if (bytes % kMib == 0) return xl::format("%llu MiB", static_cast<ULL>(bytes / kMib));
    if (bytes % kKib == 0) return xl::format("%llu KiB", static_cast<ULL>(bytes / kKib));
    return xl::format("%llu B", static_cast<ULL>(bytes));
}

std::string name_of(const xl::CapabilityList& list, xl::DomainId domain) {
    const auto name = list.names.find(domain);
    return name == list.names.end() ? "?" : name->second;
}

std::string id_text(std::uint64_t id) {
    return id == 0 ? "-" : xl::format("%llu", static_cast<ULL>(id));
}

}  // namespace

void capability_table(const xl::CapabilityList& list, const Sink& out) {
    out(xl::format("%-20s %5s %8s %-13s %-6s %18s %16s %16s %9s\n", "Domain", "ID", "Slot", "Type", "Rights",
                   "Badge", "Object", "Parent", "Size"));
    for (const auto& cap : list.capabilities) {
        const std::string badge = cap.badge == 0 ? "-" : xl::format("0x%llx", static_cast<ULL>(cap.badge));
        out(xl::printable(xl::format(
            "%-20s %5u %8llu %-13s %-6s %18s %16s %16s %9s\n", name_of(list, cap.domain).c_str(), cap.domain,
            static_cast<ULL>(cap.slot), cap.type, cap.rights, badge.c_str(), id_text(cap.object).c_str(),
            id_text(cap.parent).c_str(), size_text(cap.size).c_str())));
    }
    out(xl::format("%zu capabilities%s\n", list.capabilities.size(),
                   list.changed ? "; some changed while they were listed" : ""));
}

void capability_json(const xl::CapabilityList& list, const Sink& out) {
    const char* before = "[\n";
    for (const auto& cap : list.capabilities) {
        out(std::exchange(before, ",\n") +
            xl::format(
                "  {\"domain\": %u, \"name\": %s, \"slot\": %llu, \"type\": \"%s\", \"rights\": \"%s\", "
                "\"badge\": %llu, \"object\": %llu, \"parent\": %llu, \"size\": %llu, \"container\": %llu, "
                "\"index\": %llu, \"parent_container\": %llu, \"parent_index\": %llu, \"mapped\": \"%s\", "
                "\"mapped_in\": %llu, \"device\": %s}",
                cap.domain, xl::json_string(name_of(list, cap.domain)).c_str(), static_cast<ULL>(cap.slot),
                cap.type, cap.rights, static_cast<ULL>(cap.badge), static_cast<ULL>(cap.object),
                static_cast<ULL>(cap.parent), static_cast<ULL>(cap.size), static_cast<ULL>(cap.container),
                static_cast<ULL>(cap.index), static_cast<ULL>(cap.parent_container),
                static_cast<ULL>(cap.parent_index), cap.mapped, static_cast<ULL>(cap.mapped_in),
                cap.device ? "true" : "false"));
    }
    out(list.capabilities.empty() ? "[]\n" : "\n]\n");
}

void capability_dot(const xl::CapabilityList& list, const Sink& out) {
    out("digraph capabilities {\n  rankdir=LR;\n");
    const xl::CapabilityInfo* last = nullptr;
    for (const auto& cap : list.capabilities) {
        if (!last || last->domain != cap.domain)
            out((last ? "  }\n" : "") + xl::format("  subgraph cluster_%u {\n    label=", cap.domain) +
                xl::json_string(name_of(list, cap.domain) + xl::format(" (%u)", cap.domain)) + ";\n");
        out(xl::format("    c%u_%llu [shape=box,label=\"%llu %s\"];\n", cap.domain,
                       static_cast<ULL>(cap.slot), static_cast<ULL>(cap.slot), cap.rights));
        last = &cap;
    }
    if (last) out("  }\n");
    std::map<std::uint64_t, const xl::CapabilityInfo*> objects;
    std::set<std::pair<std::uint64_t, std::uint64_t>> derivations;
    for (const auto& cap : list.capabilities) {
        if (cap.object == 0) continue;
        objects[cap.object] = &cap;
        out(xl::format("  c%u_%llu -> o%llu;\n", cap.domain, static_cast<ULL>(cap.slot),
                       static_cast<ULL>(cap.object)));
        if (cap.parent != 0 && cap.parent != cap.object) derivations.insert({cap.parent, cap.object});
    }
    for (const auto& [object, cap] : objects)
        out(xl::format("  o%llu [label=\"%s%s\"];\n", static_cast<ULL>(object), cap->type,
                       cap->size == 0 ? "" : (" " + size_text(cap->size)).c_str()));
    for (const auto& [parent, object] : derivations)
        out(xl::format("  o%llu -> o%llu [style=dashed];\n", static_cast<ULL>(parent),
                       static_cast<ULL>(object)));
    out("}\n");
}

}  // namespace bulkhead::shell
