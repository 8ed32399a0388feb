// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/state.hpp"

#include "toolstack/dom0/codec.hpp"

namespace bulkhead::dom0 {
namespace {

constexpr std::uint32_t kVersion = 1;

void write(Writer& out, const xl::CpuSet& set) {
    std::uint64_t words[xl::CpuSet::kMaxCpus / 64] = {};
    for (std::size_t cpu = 0; cpu < xl::CpuSet::kMaxCpus; cpu++)
        if (set.bits[cpu]) words[cpu / 64] |= std::uint64_t{1} << cpu % 64;
    out.raw(words, sizeof words);
}

xl::CpuSet read_cpus(Reader& in) {
    std::uint64_t words[xl::CpuSet::kMaxCpus / 64] = {};
    in.raw(words, sizeof words);
    xl::CpuSet set;
    for (std::size_t cpu = 0; cpu < xl::CpuSet::kMaxCpus; cpu++)
        set.bits[cpu] = words[cpu / 64] >> cpu % 64 & 1;
    return set;
}

void write(Writer& out, const xl::DomainConfig& c) {
    out.text(c.name);
    out.number(static_cast<std::uint8_t>(c.uuid.has_value()));
    const xl::Uuid uuid = c.uuid.value_or(xl::Uuid{});
    out.raw(uuid.bytes.data(), uuid.bytes.size());
    for (const std::string* text : {&c.kernel, &c.ramdisk, &c.command_line}) out.text(*text);
    out.number(c.memory_mib);
    out.number(c.max_memory_mib);
    out.number(c.vcpus);
    out.number(c.max_vcpus);
    out.number(static_cast<std::uint32_t>(c.affinity.size()));
    for (const auto& set : c.affinity) write(out, set);
    out.number(c.cpu_weight);
    for (const xl::Action action : {c.on_poweroff, c.on_reboot, c.on_crash}) out.number(action);
}

xl::DomainConfig read_config(Reader& in) {
    xl::DomainConfig c;
    c.name = in.text();
    const bool has_uuid = in.number<std::uint8_t>() != 0;
    xl::Uuid uuid;
    in.raw(uuid.bytes.data(), uuid.bytes.size());
    if (has_uuid) c.uuid = uuid;
    for (std::string* text : {&c.kernel, &c.ramdisk, &c.command_line}) *text = in.text();
    c.memory_mib = in.number<std::uint64_t>();
    c.max_memory_mib = in.number<std::uint64_t>();
    c.vcpus = in.number<std::uint32_t>();
    c.max_vcpus = in.number<std::uint32_t>();
    c.affinity.resize(in.count(xl::CpuSet::kMaxCpus / 8));
    for (auto& set : c.affinity) set = read_cpus(in);
    c.cpu_weight = in.number<std::uint32_t>();
    for (xl::Action* action : {&c.on_poweroff, &c.on_reboot, &c.on_crash}) *action = in.number<xl::Action>();
    return c;
}

void write(Writer& out, const DomainRecord& d) {
    out.number(d.id);
    out.number(d.phase);
    for (const bool flag : {d.restart, d.unpaused, d.ended}) out.number(static_cast<std::uint8_t>(flag));
    out.number(d.reason);
    out.number(d.created_tsc);
    out.number(static_cast<std::uint32_t>(d.chunks.size()));
    for (const std::uint32_t slot : d.chunks) out.number(slot);
    write(out, d.config);
}

DomainRecord read_domain(Reader& in) {
    DomainRecord d;
    d.id = in.number<std::uint32_t>();
    d.phase = in.number<Phase>();
    for (bool* flag : {&d.restart, &d.unpaused, &d.ended}) *flag = in.number<std::uint8_t>() != 0;
    d.reason = in.number<std::uint8_t>();
    d.created_tsc = in.number<std::uint64_t>();
    d.chunks.resize(in.count(4));
    for (auto& slot : d.chunks) slot = in.number<std::uint32_t>();
    d.config = read_config(in);
    return d;
}

}  // namespace

DomainRecord* State::find(std::uint32_t id) {
    for (DomainRecord& domain : domains)
        if (domain.id == id) return &domain;
    return nullptr;
}

std::vector<std::byte> State::encode() const {
    std::vector<std::byte> bytes;
    bytes.reserve(8192);
    Writer out{bytes};
    out.number(kVersion);
    out.number(next_domain);
    std::uint32_t used = 0;
    for (const Node& node : nodes) used += node.use != Use::None;
    out.number(used);
    for (std::uint32_t slot = 0; slot < nodes.size(); slot++) {
        const Node& node = nodes[slot];
        if (node.use == Use::None) continue;
        for (const std::uint32_t value : {slot, node.parent, node.child[0], node.child[1]})
            out.number(static_cast<std::uint16_t>(value));
        out.number(node.domain);
        out.number(node.use);
        out.number(node.bits);
    }
    out.number(static_cast<std::uint32_t>(domains.size()));
    for (const DomainRecord& domain : domains) write(out, domain);
    return bytes;
}

std::optional<State> State::decode(std::span<const std::byte> bytes, std::size_t slots) {
    Reader in{bytes};
    State state;
    if (in.number<std::uint32_t>() != kVersion) return std::nullopt;
    state.next_domain = in.number<std::uint32_t>();
    state.nodes.resize(slots);
    for (std::uint32_t left = in.count(14); left != 0 && in.ok(); left--) {
        std::uint16_t numbers[4];
        for (auto& number : numbers) number = in.number<std::uint16_t>();
        Node node;
        node.parent = numbers[1];
        node.child[0] = numbers[2];
        node.child[1] = numbers[3];
        node.domain = in.number<std::uint32_t>();
        node.use = in.number<Use>();
        node.bits = in.number<std::uint8_t>();
        for (const std::uint16_t number : numbers)
            if (number >= slots) return std::nullopt;
        state.nodes[numbers[0]] = node;
    }
    for (std::uint32_t left = in.count(64); left != 0 && in.ok(); left--)
        state.domains.push_back(read_domain(in));
    if (!in.done()) return std::nullopt;
    return state;
}

}  // namespace bulkhead::dom0
