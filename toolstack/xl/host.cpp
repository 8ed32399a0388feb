// SPDX-License-Identifier: Apache-2.0
// xl info, dmesg: about the machine.
#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

namespace {

using ULL = unsigned long long;

std::string field(const char* name, const std::string& value) {
    return format("%-23s: %s\n", name, value.c_str());
}
std::string field(const char* name, ULL value) {
    return format("%-23s: %llu\n", name, value);
}

std::string hardware_caps(const PhysInfo& machine) {
    std::string out;
    for (const auto word : machine.hw_caps) out += format("%s%08x", out.empty() ? "" : ":", word);
    return out;
}

std::string virtualization_caps(const PhysInfo& machine) {
    std::string out;
    if (machine.has_svm || machine.has_vmx) out = "pvh";
    if (machine.has_iommu) out += " pvh_directio";
    return out;
}

// Bulkhead treats the machine as one NUMA node until it supports more.
std::string topology(const PhysInfo& machine) {
    std::string out = "cpu_topology           :\ncpu:    core    socket     node\n";
    const auto threads = machine.threads_per_core == 0 ? 1 : machine.threads_per_core;
    const auto per_socket = threads * (machine.cores_per_socket == 0 ? 1 : machine.cores_per_socket);
    for (std::uint32_t cpu = 0; cpu < machine.nr_cpus; ++cpu)
        out += format("%3u:    %4u     %4u     %4u\n", cpu, cpu % per_socket / threads, cpu / per_socket, 0U);
    out += "device topology        :\nNo device topology data available\n";
    out += "numa_info              :\nnode:    memsize    memfree    distances\n";
    out += format("%4u:    %6llu     %6llu      %d\n", 0U, static_cast<ULL>(machine.total_memory_kib / 1024),
                  static_cast<ULL>(machine.free_memory_kib / 1024), 10);
    return out;
}

// `xl info NAME`: the values of the fields whose names begin so, without their names.
std::string values_of(const std::string& text, const std::string& name) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = text.find('\n', at);
        const auto line = text.substr(at, end - at);
        if (line.starts_with(name)) out += line.substr(line.find(": ") + 2) + "\n";
        at = end + 1;
    }
    return out;
}

int info(Context& context, const Arguments& arguments) {
    const auto machine = context.backend.physinfo();
    if (!machine) return report(context, "xl", machine.error());
    std::string out;
    out += field("host", machine->host);
    out += field("release", machine->release);
    out += field("version", machine->version);
    out += field("machine", "x86_64");
    out += field("nr_cpus", machine->nr_cpus);
    out += field("max_cpu_id", machine->nr_cpus == 0 ? 0 : machine->nr_cpus - 1);
    out += field("nr_nodes", 1);
    out += field("cores_per_socket", machine->cores_per_socket);
    out += field("threads_per_core", machine->threads_per_core);
    out += field("cpu_mhz", format("%llu.%03llu", static_cast<ULL>(machine->cpu_khz / 1000),
                                   static_cast<ULL>(machine->cpu_khz % 1000)));
    out += field("hw_caps", hardware_caps(*machine));
    out += field("virt_caps", virtualization_caps(*machine));
    out += field("total_memory", machine->total_memory_kib / 1024);
    out += field("free_memory", machine->free_memory_kib / 1024);
    out += field("sharing_freed_memory", 0);
    out += field("sharing_used_memory", 0);
    out += field("outstanding_claims", 0);
    out += field("free_cpus", 0);
    if (arguments.has('n')) out += topology(*machine);
    // The ABI that guests see is Xen's, and this is the version that they are told.
    out += field("xen_major", 4);
    out += field("xen_minor", 17);
    out += field("xen_extra", "-bulkhead");
    out += field("xen_version", "4.17-bulkhead");
    out += field("xen_caps", "hvm-3.0-x86_64");
    out += field("xen_scheduler", "bulkhead");
    out += field("xen_pagesize", 4096);
    out += field("xen_changeset", machine->commit);
    out += field("xen_commandline", machine->command_line);
    out += field("cc_compiler", machine->compiler);
    out += field("cc_compile_date", machine->compile_date);
    out += field("xend_config_format", 4);
    if (!arguments.operands.empty() && !arguments.has('n')) out = values_of(out, arguments.operands[0]);
    context.console.print(printable(out));
    return kSuccess;
}

int dmesg(Context& context, const Arguments& arguments) {
    auto log = context.backend.kernel_log(arguments.has('c'));
    if (!log) return report(context, "xl", log.error());
    if (!log->empty() && log->back() != '\n') *log += '\n';
    // The log holds lines of user domains too.
    context.console.print(printable(*log));
    return kSuccess;
}

constexpr OptionSpec kInfoOptions[] = {{'n', "numa"}};
constexpr OptionSpec kDmesgOptions[] = {{'c', "clear"}};

constexpr Subcommand kTable[] = {
    {"info", "[-n] [Field]", "Get information about the machine, or the value of one field",
     "-n, --numa              List host NUMA topology information", 0, 1, false, kInfoOptions, info},
    {"dmesg", "[-c]", "Read and/or clear dmesg buffer",
     "-c, --clear             Clear dmesg buffer as well as printing it", 0, 0, false, kDmesgOptions, dmesg},
};

}  // namespace

std::span<const Subcommand> host_subcommands() {
    return kTable;
}

}  // namespace bulkhead::xl
