// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/cpu_list.hpp"

#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

CpuSet CpuSet::all() {
    CpuSet set;
    set.bits.set();
    return set;
}

namespace {

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

Result<CpuSet> parse_part(std::string_view part) {
    if (part == "all") return CpuSet::all();
    if (part.starts_with("node"))
        return fail(ErrorKind::Unsupported,
                    "'" + printable(part) + "' names a NUMA node, and Bulkhead does not support those yet.");
    const auto dash = part.find('-');
    const auto first = parse_decimal(trim(part.substr(0, dash)));
    const auto last = dash == std::string_view::npos ? first : parse_decimal(trim(part.substr(dash + 1)));
    if (!first || !last)
        return fail(ErrorKind::Invalid,
                    "expected CPU numbers and ranges as in \"0-3,^1\", or \"all\", found '" +
                        printable(part.substr(0, 40)) + "'.");
    if (*last >= CpuSet::kMaxCpus || *first > *last) {
        return fail(ErrorKind::Invalid, format("the CPU range '%s' is empty or exceeds CPU %zu.",
                                               printable(part.substr(0, 40)).c_str(), CpuSet::kMaxCpus - 1));
    }
    CpuSet set;
    for (auto cpu = *first; cpu <= *last; ++cpu) set.bits.set(cpu);
    return set;
}

}  // namespace

Result<CpuSet> CpuSet::parse(std::string_view list) {
    CpuSet set;
    CpuSet removed;  // applied last, so that "^1,0-3" and "0-3,^1" are the same set
    for (auto part : split(list, ',')) {
        part = trim(part);
        const bool remove = part.starts_with('^');
        if (remove) part = trim(part.substr(1));
        auto cpus = parse_part(part);
        if (!cpus) return cpus;
        (remove ? removed : set).bits |= cpus->bits;
    }
    set.bits &= ~removed.bits;
    if (set.bits.none())
        return fail(ErrorKind::Invalid,
                    "the CPU list '" + printable(list.substr(0, 40)) + "' leaves no CPU to run on.");
    return set;
}

std::string CpuSet::text() const {
    if (is_all()) return "all";
    std::string out;
    for (std::size_t cpu = 0; cpu < kMaxCpus; ++cpu) {
        if (!contains(cpu)) continue;
        std::size_t last = cpu;
        while (contains(last + 1)) ++last;
        if (!out.empty()) out += ',';
        out += last == cpu ? format("%zu", cpu) : format("%zu-%zu", cpu, last);
        cpu = last;
    }
    return out;
}

}  // namespace bulkhead::xl
