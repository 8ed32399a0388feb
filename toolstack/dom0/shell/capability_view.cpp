// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/capability_view.hpp"

#include <map>
#include <set>

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

std::string id_text(std::uint64_t id) {
    return id == 0 ? "-" : xl::format("%llu", static_cast<ULL>(id));
}

}  // namespace

std::string capability_table(const CapabilityList& list) {
    std::string out = xl::format("%-20s %4s %6s %-13s %-6s %18s %8s %8s %9s\n", "Domain", "ID", "Slot",
                                 "Type", "Rights", "Badge", "Object", "Parent", "Size");
    for (const auto& cap : list) {
        const std::string badge = cap.badge == 0 ? "-" : xl::format("0x%llx", static_cast<ULL>(cap.badge));
        out +=
            xl::format("%-20s %4u %6llu %-13s %-6s %18s %8s %8s %9s\n", cap.domain_name.c_str(), cap.domain,
                       static_cast<ULL>(cap.slot), cap.type.c_str(), cap.rights.c_str(), badge.c_str(),
                       id_text(cap.object).c_str(), id_text(cap.parent).c_str(), size_text(cap.size).c_str());
    }
    out += xl::format("%zu capabilities\n", list.size());
    return xl::printable(out);
}

std::string capability_json(const CapabilityList& list) {
    std::string out = "[";
    for (const auto& cap : list) {
        out += out.size() == 1 ? "\n" : ",\n";
        out += xl::format(
            "  {\"domain\": %u, \"name\": %s, \"slot\": %llu, \"type\": %s, \"rights\": %s, \"badge\": %llu, "
            "\"object\": %llu, \"parent\": %llu, \"size\": %llu}",
            cap.domain, xl::json_string(cap.domain_name).c_str(), static_cast<ULL>(cap.slot),
            xl::json_string(cap.type).c_str(), xl::json_string(cap.rights).c_str(),
            static_cast<ULL>(cap.badge), static_cast<ULL>(cap.object), static_cast<ULL>(cap.parent),
            static_cast<ULL>(cap.size));
    }
    return out + (list.empty() ? "]\n" : "\n]\n");
}

std::string capability_dot(const CapabilityList& list) {
    std::map<xl::DomainId, std::string> clusters;
    std::map<std::uint64_t, std::string> objects;
    std::set<std::pair<std::uint64_t, std::uint64_t>> derivations;
    std::string edges;
    for (const auto& cap : list) {
        auto& cluster = clusters[cap.domain];
        if (cluster.empty())
            cluster =
                "    label=" + xl::json_string(cap.domain_name + xl::format(" (%u)", cap.domain)) + ";\n";
        const auto slot = xl::format("c%u_%llu", cap.domain, static_cast<ULL>(cap.slot));
        cluster +=
            xl::format("    %s [shape=box,label=%s];\n", slot.c_str(),
                       xl::json_string(xl::format("%llu ", static_cast<ULL>(cap.slot)) + cap.rights).c_str());
        if (cap.object == 0) continue;
        objects[cap.object] = cap.type + (cap.size == 0 ? "" : " " + size_text(cap.size));
        edges += xl::format("  %s -> o%llu;\n", slot.c_str(), static_cast<ULL>(cap.object));
        if (cap.parent != 0) derivations.insert({cap.parent, cap.object});
    }
    std::string out = "digraph capabilities {\n  rankdir=LR;\n";
    for (const auto& [domain, body] : clusters)
        out += xl::format("  subgraph cluster_%u {\n", domain) + body + "  }\n";
    for (const auto& [object, label] : objects)
        out += xl::format("  o%llu [label=%s];\n", static_cast<ULL>(object), xl::json_string(label).c_str());
    out += edges;
    for (const auto& [parent, object] : derivations)
        out += xl::format("  o%llu -> o%llu [style=dashed];\n", static_cast<ULL>(parent),
                          static_cast<ULL>(object));
    return out + "}\n";
}

}  // namespace bulkhead::shell
