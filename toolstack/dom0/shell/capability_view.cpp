// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/capability_view.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "abi/types.hpp"
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

// What a badge means: an IoPort's is its range (abi/syscall.hpp, frame_mint).
std::string badge_text(const xl::CapabilityInfo& cap) {
    if (cap.badge == 0) return "-";
    const ULL low = cap.badge & 0xffff, count = cap.badge >> 16;
    if (std::string_view{cap.type} == "IoPort") return xl::format("ports 0x%llx-%llx", low, low + count - 1);
    return xl::format("0x%llx", static_cast<ULL>(cap.badge));
}

// Of a run, which is one row of the table: the next slot's capability is of the next object, and otherwise
// alike.
bool continues(const xl::CapabilityInfo& a, const xl::CapabilityInfo& b) {
    const auto alike = [](const xl::CapabilityInfo& c) {
        return std::tuple{c.domain, std::string_view{c.type}, std::string_view{c.rights}, c.badge, c.parent,
                          c.size};
    };
    const std::uint64_t step = std::max<std::uint64_t>(a.size / abi::kPageSize, 1);
    return alike(a) == alike(b) && b.slot == a.slot + 1 && a.object != 0 && b.object == a.object + step;
}

}  // namespace

void capability_table(const xl::CapabilityList& list, const Sink& out) {
    out(xl::format("%-20s %5s %8s %-13s %-6s %18s %16s %16s %9s\n", "Domain", "ID", "Slot", "Type", "Rights",
                   "Badge", "Object", "Parent", "Size"));
    const auto& all = list.capabilities;
    for (std::size_t first = 0, next = 0; first < all.size(); first = next) {
        while (++next < all.size() && continues(all[next - 1], all[next])) {
        }
        const auto& cap = all[first];
        const std::string times = next - first == 1 ? "" : xl::format(" x %zu", next - first);
        out(xl::printable(
            xl::format("%-20s %5u %8llu %-13s %-6s %18s %16s %16s %9s%s\n", name_of(list, cap.domain).c_str(),
                       cap.domain, static_cast<ULL>(cap.slot), cap.type, cap.rights, badge_text(cap).c_str(),
                       id_text(cap.object).c_str(), id_text(cap.parent).c_str(), size_text(cap.size).c_str(),
                       times.c_str())));
    }
    out(xl::format("%zu capabilities%s\n", all.size(),
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
