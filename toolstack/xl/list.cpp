// SPDX-License-Identifier: Apache-2.0
// xl list, vm-list, vcpu-list, uptime: tables of domains.
#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

namespace {

using ULL = unsigned long long;

// The domains that the operands name, or all. nullopt: a message was printed.
std::optional<std::vector<DomainInfo>> chosen(Context& context, const Arguments& arguments) {
    std::vector<DomainInfo> result;
    if (arguments.operands.empty()) {
        auto all = context.backend.domains();
        if (all) return *all;
        report(context, "xl", all.error());
        return std::nullopt;
    }
    for (const auto& operand : arguments.operands) {
        auto domain = find_domain(context, operand);
        if (!domain) return std::nullopt;
        result.push_back(std::move(*domain));
    }
    return result;
}

double seconds(std::uint64_t ns) {
    return static_cast<double>(ns) / 1e9;
}

// The fifth letter says why a domain is shut down; a power-off has none.
char reason_letter(const DomainInfo& domain) {
    constexpr std::string_view kLetters = "-rscwS";  // in the order of ShutdownReason
    const auto reason = static_cast<std::size_t>(domain.reason);
    if (!domain.shutdown) return '-';
    return reason < kLetters.size() ? kLetters[reason] : '?';
}

std::string state_letters(const DomainInfo& domain) {
    std::string letters;
    letters += domain.running ? 'r' : '-';
    letters += domain.blocked ? 'b' : '-';
    letters += domain.paused ? 'p' : '-';
    letters += domain.shutdown ? 's' : '-';
    letters += reason_letter(domain);
    letters += domain.dying ? 'd' : '-';
    return letters;
}

std::string details(Context& context, const DomainInfo& domain) {
    const auto id = static_cast<ULL>(domain.id);
    std::string out = "    {\n";
    out += format("        \"domid\": %llu,\n", id);
    out += "        \"config\": {\n";
    if (const auto config = context.backend.config(domain.id); domain.kind == DomainKind::Guest && config) {
        out += config->json(12);
    } else {
        out += "            \"c_info\": {\n";
        out += std::string("                \"type\": \"") +
               (domain.kind == DomainKind::Guest ? "pvh" : "stubdom") + "\",\n";
        out += "                \"name\": " + json_string(domain.name) + ",\n";
        out += "                \"uuid\": \"" + domain.uuid.text() + "\"\n            },\n";
        out += "            \"b_info\": {\n";
        out += format("                \"max_vcpus\": %u,\n", domain.vcpus);
        out += format("                \"max_memkb\": %llu,\n", static_cast<ULL>(domain.max_memory_kib));
        out += format("                \"target_memkb\": %llu\n            }\n",
                      static_cast<ULL>(domain.memory_kib));
    }
    return out + "        }\n    }";
}

int list(Context& context, const Arguments& arguments) {
    const auto domains = chosen(context, arguments);
    if (!domains) return kFailure;
    std::string out;
    if (arguments.has('l')) {
        for (const auto& domain : *domains) out += (out.empty() ? "[\n" : ",\n") + details(context, domain);
        context.console.print(out.empty() ? "[]\n" : out + "\n]\n");
        return kSuccess;
    }
    const bool verbose = arguments.has('v');
    out = "Name                                        ID   Mem VCPUs      State   Time(s)";
    if (verbose) out += "   UUID                            Reason-Code  Security Label";
    out += '\n';
    for (const auto& domain : *domains) {
        out += format("%-40s %5u %5llu %5u     %s  %8.1f", domain.name.c_str(), domain.id,
                      static_cast<ULL>((domain.memory_kib + 1023) / 1024), domain.vcpus,
                      state_letters(domain).c_str(), seconds(domain.cpu_time_ns));
        if (verbose) {
            const std::string reason =
                domain.shutdown ? format("%x", static_cast<unsigned>(domain.reason)) : "-";
            out += format(" %s %8s %16s", domain.uuid.text().c_str(), reason.c_str(), "-");
        }
        out += '\n';
    }
    context.console.print(out);
    return kSuccess;
}

int vm_list(Context& context, const Arguments& arguments) {
    const auto domains = chosen(context, arguments);
    if (!domains) return kFailure;
    std::string out = "UUID                                  ID    name\n";
    for (const auto& domain : *domains) {
        if (domain.kind == DomainKind::Guest)
            out += format("%s  %u    %s\n", domain.uuid.text().c_str(), domain.id, domain.name.c_str());
    }
    context.console.print(out);
    return kSuccess;
}

// Column by column as xl prints it, though its heads stand a little to the right.
std::string vcpu_line(const DomainInfo& domain, const VcpuInfo& vcpu, std::uint32_t cpus) {
    auto line = format("%-32s %5u %5u", domain.name.c_str(), domain.id, vcpu.index);
    if (vcpu.online) {
        line += format("%5u %3c%c- ", vcpu.cpu, vcpu.running ? 'r' : '-', vcpu.blocked ? 'b' : '-');
    } else {
        line += "    -   --p ";
    }
    bool anywhere = true;
    for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) anywhere = anywhere && vcpu.affinity.contains(cpu);
    const auto affinity = anywhere ? "all" : vcpu.affinity.text();
    return line + format("%9.1f  %s / all\n", seconds(vcpu.cpu_time_ns), affinity.c_str());
}

int vcpu_list(Context& context, const Arguments& arguments) {
    const auto domains = chosen(context, arguments);
    if (!domains) return kFailure;
    const auto machine = context.backend.physinfo();
    if (!machine) return report(context, "xl", machine.error());
    std::string out = format("%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State",
                             "Time(s)", "Affinity (Hard / Soft)");
    for (const auto& domain : *domains) {
        const auto vcpus = context.backend.vcpus(domain.id);
        if (!vcpus) {
            // A domain that went away between the two calls is not an error of the whole list.
            if (vcpus.error().kind == ErrorKind::NotFound && arguments.operands.empty()) continue;
            return report(context, "xl", vcpus.error());
        }
        for (const auto& vcpu : *vcpus) out += vcpu_line(domain, vcpu, machine->nr_cpus);
    }
    context.console.print(out);
    return kSuccess;
}

std::string uptime_text(std::uint64_t ns, bool brief) {
    const ULL total = ns / 1'000'000'000;
    const ULL days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60, left = total % 60;
    std::string text;
    if (days > 0) text = format("%llu day%s, ", days, days > 1 ? "s" : "");
    text += format("%2llu:%02llu", hours, minutes);
    if (!brief) text += format(":%02llu", left);
    return text;
}

int uptime(Context& context, const Arguments& arguments) {
    const auto domains = chosen(context, arguments);
    if (!domains) return kFailure;
    const bool brief = arguments.has('s');
    std::string now;
    if (brief) {
        const auto utc = context.backend.seconds_utc();
        if (!utc) return report(context, "xl", utc.error());
        const ULL of_day = *utc % 86400;
        now = format(" %02llu:%02llu:%02llu", of_day / 3600, of_day / 60 % 60, of_day % 60);
    }
    std::string out = brief ? "" : format("%-33s %4s %s\n", "Name", "ID", "Uptime");
    for (const auto& domain : *domains) {
        const auto text = uptime_text(domain.uptime_ns, brief);
        out += brief
                   ? format("%s up %s, %s (%u)\n", now.c_str(), text.c_str(), domain.name.c_str(), domain.id)
                   : format("%-33s %4u %s\n", domain.name.c_str(), domain.id, text.c_str());
    }
    context.console.print(out);
    return kSuccess;
}

constexpr OptionSpec kListOptions[] = {{'l', "long"},
                                       {'v', "verbose"},
                                       {'Z', "context", false, false},
                                       {'c', "cpupool", false, false},
                                       {'n', "numa", false, false}};
constexpr OptionSpec kUptimeOptions[] = {{'s', "short"}};

constexpr Subcommand kTable[] = {
    {"list", "[options] [Domain ...]", "List information about all/some domains",
     "-l, --long              Output all VM details\n-v, --verbose           Prints out UUIDs and the "
     "shutdown reason",
     0, kAnyNumber, false, kListOptions, list},
    {"vm-list", "", "List guest domains, excluding dom0 and stub domains", "", 0, 0, false, {}, vm_list},
    {"vcpu-list",
     "[Domain ...]",
     "List the VCPUs for all/some domains",
     "",
     0,
     kAnyNumber,
     false,
     {},
     vcpu_list},
    {"uptime", "[-s] [Domain ...]", "Print uptime for all/some domains",
     "-s, --short             Print a short form", 0, kAnyNumber, false, kUptimeOptions, uptime},
};

}  // namespace

std::span<const Subcommand> list_subcommands() {
    return kTable;
}

}  // namespace bulkhead::xl
