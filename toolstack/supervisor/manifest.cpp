// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/manifest.hpp"

#include <libfdt.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace bulkhead::supervisor {
namespace {

constexpr size_t kMaxDomains = 32, kMaxGrants = 24, kMaxName = 23;
constexpr int kMaxProperties = 64;

using Failure = std::unexpected<std::string>;

struct TypeName {
    std::string_view name;
    GrantType type;
};
constexpr std::array kTypes{TypeName{"ports", GrantType::Ports},
                            TypeName{"isa-irq", GrantType::IsaIrq},
                            TypeName{"serial-ports", GrantType::SerialPorts},
                            TypeName{"serial-irq", GrantType::SerialIrq},
                            TypeName{"acpi-power", GrantType::AcpiPower},
                            TypeName{"acpi-reset", GrantType::AcpiReset},
                            TypeName{"acpi-event", GrantType::AcpiEvent},
                            TypeName{"acpi-sci", GrantType::AcpiSci},
                            TypeName{"acpi-smi", GrantType::AcpiSmi},
                            TypeName{"acpi-timer", GrantType::AcpiTimer},
                            TypeName{"acpi-hpet", GrantType::AcpiHpet},
                            TypeName{"intel-tco", GrantType::IntelTco},
                            TypeName{"framebuffer", GrantType::Framebuffer},
                            TypeName{"boot-info", GrantType::BootInfo},
                            TypeName{"log", GrantType::Log},
                            TypeName{"inspect", GrantType::Inspect},
                            TypeName{"keep", GrantType::Keep},
                            TypeName{"keep-cnode", GrantType::KeepCNode},
                            TypeName{"bootfs", GrantType::Bootfs},
                            TypeName{"spawn", GrantType::Spawn},
                            TypeName{"free-memory", GrantType::FreeMemory}};

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxName && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

// libfdt 1.6 adds a property's length to an offset without looking for a wrap-around, and then walks in a
// circle for ever. So the structure block is walked here first, always forward. (What else is wrong with it,
// libfdt finds.)
bool lengths_are_bounded(std::span<const uint8_t> dtb) {
    if (dtb.size() < sizeof(fdt_header)) return false;
    const size_t start = fdt_off_dt_struct(dtb.data()), size = fdt_size_dt_struct(dtb.data());
    if (fdt_version(dtb.data()) < 17 || start > dtb.size() || size > dtb.size() - start) return false;
    const auto block = dtb.subspan(start, size);
    const auto word = [&](size_t at) { return fdt32_ld(reinterpret_cast<const fdt32_t*>(&block[at])); };
    for (size_t at = 0; at + 4 <= size; at = (at + 3) & ~size_t{3}) {
        const uint32_t tag = word(at);
        at += 4;
        if (tag == FDT_END) return true;
        if (tag == FDT_BEGIN_NODE) {
            while (at < size && block[at] != 0) ++at;
            ++at;
        } else if (tag == FDT_PROP) {
            if (size - at < 8 || word(at) > size - at - 8) return false;
            at += 8 + word(at);
        }
    }
    return false;
}

// One node, read property by property; what was not asked for is an error when the node is closed.
class Node {
  public:
    Node(const void* fdt, int offset) : fdt_{fdt}, offset_{offset} {
        char path[256];
        path_ = fdt_get_path(fdt, offset, path, sizeof path) == 0 ? path : "(path too long)";
    }

    std::string name() const {
        int length = 0;
        const char* text = fdt_get_name(fdt_, offset_, &length);
        return text ? std::string(text, static_cast<size_t>(length)) : std::string{};
    }
    Failure fail(std::string_view why) const {
        return Failure{"manifest: " + path_ + ": " + std::string{why}};
    }
    void reject(std::string_view why) {
        if (error_.empty()) error_ = fail(why).error();
    }

    uint32_t number(const char* property, uint32_t low, uint32_t high,
                    std::optional<uint32_t> otherwise = std::nullopt) {
        int length = 0;
        const void* data = get(property, &length);
        if (!data) {
            if (!otherwise) reject(std::string{property} + ": is missing");
            return otherwise.value_or(low);
        }
        if (length != 4) {
            reject(std::string{property} + ": must be one number");
            return low;
        }
        uint32_t raw;
        std::memcpy(&raw, data, 4);
        const uint32_t value = fdt32_to_cpu(raw);
        if (value < low || value > high)
            reject(std::string{property} + ": " + std::to_string(value) + " is outside " +
                   std::to_string(low) + ".." + std::to_string(high));
        return value;
    }

    std::vector<std::string> strings(const char* property) {
        int length = 0;
        const char* data = static_cast<const char*>(get(property, &length));
        std::vector<std::string> out;
        if (!data) return out;
        if (length <= 0 || data[length - 1] != '\0') {
            reject(std::string{property} + ": must be text");
            return out;
        }
        for (const char *at = data, *end = data + length; at < end; at += std::strlen(at) + 1)
            out.emplace_back(at);
        return out;
    }

    std::string text(const char* property, bool required) {
        auto all = strings(property);
        if (all.size() > 1) reject(std::string{property} + ": must be one string");
        if (all.empty() && required) reject(std::string{property} + ": is missing");
        return all.empty() ? std::string{} : all.front();
    }

    // Everything that is there was asked for?
    std::expected<void, std::string> close() {
        int property, seen = 0;
        fdt_for_each_property_offset(property, fdt_, offset_) {
            const char* name = nullptr;
            if (!fdt_getprop_by_offset(fdt_, property, &name, nullptr) || ++seen > kMaxProperties)
                return fail("properties cannot be read");
            if (std::ranges::find(asked_, name) == asked_.end())
                reject(std::string{name} + ": unknown property");
        }
        if (!error_.empty()) return Failure{error_};
        return {};
    }

  private:
    const void* get(const char* property, int* length) {
        asked_.emplace_back(property);
        return fdt_getprop(fdt_, offset_, property, length);
    }

    const void* fdt_;
    int offset_;
    std::string path_, error_;
    std::vector<std::string> asked_;
};

std::expected<Grant, std::string> parse_grant(const void* fdt, int offset) {
    Node node{fdt, offset};
    Grant grant{};
    grant.name = node.name();
    if (!is_name(grant.name)) return node.fail("the name of a grant is 1 to 23 of a-z 0-9 - _");
    const std::string type = node.text("type", true);
    const auto known = std::ranges::find(kTypes, type, &TypeName::name);
    if (known == kTypes.end()) return node.fail("type: unknown type '" + type + "'");
    grant.type = known->type;
    switch (grant.type) {
        case GrantType::Ports:
            grant.first = node.number("first", 0, 0xffff);
            grant.count = node.number("count", 1, 0x10000 - std::min(grant.first, 0xffffu));
            break;
        case GrantType::IsaIrq: grant.first = node.number("irq", 0, 15); break;
        case GrantType::Keep: grant.count = node.number("kib", 4, 1 << 20); break;
        case GrantType::KeepCNode: grant.first = node.number("bits", 4, 16); break;
        default: break;
    }
    if (auto closed = node.close(); !closed) return Failure{closed.error()};
    int child;
    fdt_for_each_subnode(child, fdt, offset) return node.fail("a grant has no children");
    return grant;
}

std::expected<DomainSpec, std::string> parse_domain(const void* fdt, int offset, bool is_template) {
    Node node{fdt, offset};
    DomainSpec spec;
    spec.name = node.name();
    if (!is_name(spec.name)) return node.fail("the name of a domain is 1 to 23 of a-z 0-9 - _");
    spec.image = node.text("image", true);
    spec.priority = node.number("priority", 1, 60);
    spec.weight = node.number("weight", 1, 65535, 256);
    spec.cpu = node.number("cpu", 0, 63, 0);
    spec.budget_us = node.number("budget-us", 0, 10'000'000, 0);
    spec.period_us = node.number("period-us", 0, 10'000'000, 0);
    if (spec.budget_us > spec.period_us) return node.fail("budget-us: is larger than period-us");
    spec.accepts = node.text("accepts", false);
    if (!spec.accepts.empty() && (!is_name(spec.accepts) || spec.accepts.size() > 15))
        return node.fail("accepts: a name is 1 to 15 of a-z 0-9 - _");
    for (std::string& target : node.strings("connects")) {
        const size_t colon = target.find(':');
        const bool control = colon != std::string::npos;
        if (control && target.substr(colon) != ":control")
            return node.fail("connects: unknown role in '" + target + "' (known: control)");
        if (control) target.resize(colon);
        spec.connects.push_back({std::move(target), control});
    }
    if (is_template) {
        spec.vcpu_priority = node.number("vcpu-priority", 1, 60);
        spec.vcpus_max = node.number("vcpus-max", 1, 16);
    } else {
        spec.tag = node.number("tag", 0, 0x7fef);
        spec.memory_kib = node.number("memory-kib", 2048, 4 << 20);
    }
    if (auto closed = node.close(); !closed) return Failure{closed.error()};
    int child;
    fdt_for_each_subnode(child, fdt, offset) {
        auto grant = parse_grant(fdt, child);
        if (!grant) return Failure{grant.error()};
        if (std::ranges::find(spec.grants, grant->name, &Grant::name) != spec.grants.end())
            return node.fail(grant->name + ": is granted twice");
        if (spec.grants.size() == kMaxGrants) return node.fail("more than 24 grants");
        spec.grants.push_back(std::move(*grant));
    }
    return spec;
}

std::expected<std::vector<DomainSpec>, std::string> parse_domains(const void* fdt, const char* path,
                                                                  bool templates) {
    std::vector<DomainSpec> out;
    const int parent = fdt_path_offset(fdt, path);
    if (parent < 0) return Failure{std::string{"manifest: "} + path + ": is missing"};
    Node node{fdt, parent};
    if (auto closed = node.close(); !closed) return Failure{closed.error()};
    int child;
    fdt_for_each_subnode(child, fdt, parent) {
        auto spec = parse_domain(fdt, child, templates);
        if (!spec) return Failure{spec.error()};
        if (out.size() == kMaxDomains) return node.fail("more than 32 domains");
        out.push_back(std::move(*spec));
    }
    return out;
}

std::string where(const DomainSpec& spec, bool is_template) {
    return "manifest: /" + std::string{is_template ? "templates/" : "services/"} + spec.name;
}

// What exists once in a machine and has one holder.
bool is_exclusive(GrantType type) {
    constexpr GrantType kOnce[] = {GrantType::Spawn,       GrantType::FreeMemory, GrantType::IsaIrq,
                                   GrantType::SerialPorts, GrantType::SerialIrq,  GrantType::AcpiSci,
                                   GrantType::AcpiHpet,    GrantType::IntelTco,   GrantType::Framebuffer};
    return std::ranges::find(kOnce, type) != std::end(kOnce);
}

// Grants of a service that cannot be shared, or need another beside them.
std::expected<void, std::string> check_grants(const Manifest& manifest) {
    std::map<std::pair<GrantType, uint32_t>, std::string> once;
    for (const auto& spec : manifest.services)
        for (const auto& grant : spec.grants) {
            const auto fail = [&](const std::string& why) {
                return Failure{where(spec, false) + "/" + grant.name + ": " + why};
            };
            if (grant.type == GrantType::FreeMemory &&
                std::ranges::find(spec.grants, GrantType::KeepCNode, &Grant::type) == spec.grants.end())
                return fail("needs a keep-cnode beside it");
            if (!is_exclusive(grant.type)) continue;
            const auto [holder, first] = once.emplace(std::pair{grant.type, grant.first}, spec.name);
            if (!first) return fail("is granted to /services/" + holder->second + " already");
        }
    for (const auto& spec : manifest.templates)
        for (const auto& grant : spec.grants)
            if (is_exclusive(grant.type) || grant.type == GrantType::Keep ||
                grant.type == GrantType::KeepCNode)
                return Failure{where(spec, true) + "/" + grant.name + ": only a service can have this"};
    return {};
}

// What one node cannot tell: names are unique, every channel has an end, what exists once is granted once.
std::expected<void, std::string> check_whole(const Manifest& manifest) {
    for (const auto& spec : manifest.services)
        for (const auto& other : manifest.services) {
            if (&other == &spec) break;
            if (other.name == spec.name) return Failure{where(spec, false) + ": the name is used twice"};
            if (other.tag == spec.tag)
                return Failure{where(spec, false) + ": tag: " + std::to_string(spec.tag) +
                               " is used by /services/" + other.name + " too"};
            if (!spec.accepts.empty() && other.accepts == spec.accepts)
                return Failure{where(spec, false) + ": accepts: '" + spec.accepts +
                               "' is accepted by /services/" + other.name + " too"};
        }
    for (const auto& spec : manifest.templates) {
        const auto service = std::ranges::find(manifest.services, spec.accepts, &DomainSpec::accepts);
        if (!spec.accepts.empty() && service != manifest.services.end())
            return Failure{where(spec, true) + ": accepts: '" + spec.accepts + "' is accepted by /services/" +
                           service->name};
    }
    for (const auto* list : {&manifest.services, &manifest.templates})
        for (const auto& spec : *list)
            for (const auto& target : spec.connects)
                if (std::ranges::find(manifest.services, target.service, &DomainSpec::accepts) ==
                    manifest.services.end())
                    return Failure{where(spec, list == &manifest.templates) +
                                   ": connects: no service accepts '" + target.service + "'"};
    return check_grants(manifest);
}

}  // namespace

const DomainSpec* Manifest::find_template(std::string_view name) const {
    const auto it = std::ranges::find(templates, name, &DomainSpec::name);
    return it == templates.end() ? nullptr : &*it;
}

std::expected<Manifest, std::string> parse_manifest(std::span<const uint8_t> dtb) {
    if (dtb.size() > (1u << 20)) return Failure{"manifest: is larger than 1 MiB"};
    if (!lengths_are_bounded(dtb))
        return Failure{"manifest: not a device tree blob: a header or length is wrong, or it has no end"};
    if (const int error = fdt_check_full(dtb.data(), dtb.size()); error != 0)
        return Failure{std::string{"manifest: not a device tree blob: "} + fdt_strerror(error)};
    if (fdt_node_check_compatible(dtb.data(), 0, "bulkhead,manifest-1") != 0)
        return Failure{"manifest: /: compatible: must be 'bulkhead,manifest-1'"};
    int child;
    fdt_for_each_subnode(child, dtb.data(), 0) {
        const std::string_view name = fdt_get_name(dtb.data(), child, nullptr);
        if (name != "services" && name != "templates")
            return Failure{"manifest: /" + std::string{name} + ": unknown node"};
    }
    Manifest manifest;
    auto services = parse_domains(dtb.data(), "/services", false);
    if (!services) return Failure{services.error()};
    auto templates = parse_domains(dtb.data(), "/templates", true);
    if (!templates) return Failure{templates.error()};
    manifest.services = std::move(*services);
    manifest.templates = std::move(*templates);
    if (auto whole = check_whole(manifest); !whole) return Failure{whole.error()};
    return manifest;
}

}  // namespace bulkhead::supervisor
