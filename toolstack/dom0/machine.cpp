// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/machine.hpp"

#include <cpuid.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "toolstack/dom0/hardware.hpp"
#include "toolstack/dom0/inspector.hpp"

namespace bulkhead::dom0 {
namespace {

using xl::ErrorKind;
using xl::Result;

const char* state_text(abi::DomainState state) {
    switch (state) {
        case abi::DomainState::Starting: return "starting";
        case abi::DomainState::Running: return "running";
        case abi::DomainState::Restarting: return "restarting";
        case abi::DomainState::Failed: return "failed";
        case abi::DomainState::Dead: return "dead";
    }
    return "unknown";
}

std::array<std::uint32_t, 4> cpuid(std::uint32_t leaf) {
    std::array<std::uint32_t, 4> r{};
    __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]);
    return r;
}

}  // namespace

xl::DomainInfo Machine::service_info(const SupervisedDomain& domain) {
    const cap::TscClock& clock = p_.loop.env().clock;
    xl::DomainInfo out;
    out.id = static_cast<xl::DomainId>(domain.tag);
    out.name = domain.tag == start_.domain_tag ? "Domain-0" : domain.name;
    out.kind = domain.tag == start_.domain_tag ? xl::DomainKind::Dom0 : xl::DomainKind::StubDomain;
    out.running = out.kind == xl::DomainKind::Dom0;  // it answers this very question
    out.blocked = !out.running && domain.state == abi::DomainState::Running;
    out.dying = domain.state == abi::DomainState::Dead || domain.state == abi::DomainState::Failed;
    out.memory_kib = out.max_memory_kib = domain.memory_kib;
    out.vcpus = 1;
    out.uptime_ns = clock.ns_of_ticks(cap::read_tsc() - p_.loop.env().kernel.boot_tsc);
    if (const auto contexts = p_.spawner.contexts(domain.tag))
        for (const auto& context : *contexts)
            if (const auto read = cap::sys::sched_read(context.address()); read.ok())
                out.cpu_time_ns += clock.ns_of_ticks(read.r0);
    return out;
}

Result<std::vector<xl::DomainInfo>> Machine::domains() {
    std::vector<xl::DomainInfo> out = guests_.list();
    for (const auto& domain : p_.spawner.domains())
        if (!domain.spawned) out.push_back(service_info(domain));
    std::ranges::sort(out, {}, &xl::DomainInfo::id);
    return out;
}

Result<std::vector<xl::VcpuInfo>> Machine::vcpus(xl::DomainId domain) {
    if (guests_.exists(domain)) return guests_.vcpus(domain);
    const auto service = p_.spawner.find(domain);
    if (!service || service->spawned) return xl::fail(ErrorKind::NotFound, "there is no such domain.");
    const xl::DomainInfo info = service_info(*service);
    xl::VcpuInfo vcpu;
    vcpu.online = service->state == abi::DomainState::Running;
    vcpu.running = info.running;
    vcpu.blocked = info.blocked;
    vcpu.cpu_time_ns = info.cpu_time_ns;
    return std::vector{vcpu};
}

Result<xl::DomainConfig> Machine::config(xl::DomainId domain) {
    if (const DomainRecord* record = guests_.record(domain)) return record->config;
    return xl::fail(ErrorKind::NotFound, "there is no guest with this ID.");
}

// The images are what the file tree has at the configured paths; the supervisor maps them into the VMM from
// the boot module.
Result<xl::DomainId> Machine::create(const xl::DomainConfig& config, std::span<const std::byte>,
                                     std::span<const std::byte>) {
    return guests_.create(config);
}

Result<std::optional<xl::DomainEnd>> Machine::wait(xl::DomainId domain, xl::WaitFor what,
                                                   std::int64_t timeout_ms) {
    const std::uint64_t deadline = p_.loop.deadline_ms(timeout_ms);
    for (;;) {
        guests_.attend();
        const auto end = guests_.end_of(domain);
        if (end && (end->died || what == xl::WaitFor::Shutdown)) return end;
        if (cap::read_tsc() >= deadline) return std::optional<xl::DomainEnd>{};
        idle_(deadline);
    }
}

Result<xl::ConsoleEnd> Machine::attach_console(xl::DomainId domain, std::string_view typed) {
    do {
        if (auto attached = p_.console.attach(domain, std::exchange(typed, {})); !attached)
            return std::unexpected(attached.error());
        while (p_.console.attached()) idle_(abi::kDeadlineNever);
    } while (p_.console.interrupted() && guests_.exists(domain));
    // When the guest ended by itself, what that leads to may still be to be done.
    guests_.attend();
    return guests_.exists(domain) ? xl::ConsoleEnd::Detached : xl::ConsoleEnd::DomainGone;
}

Result<xl::PhysInfo> Machine::physinfo() {
    const abi::KernelInfo& kernel = p_.loop.env().kernel;
    xl::PhysInfo out;
    const std::string version{kernel.version, strnlen(kernel.version, sizeof kernel.version)};
    out.version = version;
    out.release = version.substr(0, version.find(' '));
    out.commit = version;
    out.compiler = "g++ " __VERSION__;
    out.nr_cpus = kernel.cpus;
    out.cores_per_socket = kernel.cpus;
    out.cpu_khz = kernel.tsc_khz;
    const auto one = cpuid(1), extended = cpuid(0x80000001), seven = cpuid(7), thirteen = cpuid(13),
               advanced = cpuid(0x80000007);
    out.hw_caps = {one[3], one[2], extended[3], extended[2], thirteen[0], seven[1], seven[2], advanced[3]};
    out.has_svm = kernel.virt_kind == 1;
    out.has_vmx = kernel.virt_kind == 2;
    if (const abi::BootInfo* boot = cap::boot_info(start_))
        out.command_line.assign(boot->options, strnlen(boot->options, sizeof boot->options));
    out.total_memory_kib = kernel.total_memory / 1024;
    out.free_memory_kib = p_.memory.free_bytes() / 1024;
    return out;
}

Result<std::vector<xl::Finding>> Machine::hardware() {
    const abi::BootInfo* boot = cap::boot_info(start_);
    if (!boot)
        return xl::fail(ErrorKind::Denied, "the manifest does not let dom0 read what the boot code found.");
    const auto timers = p_.platform.timers();
    return describe_hardware(*boot, p_.loop.env().kernel, timers ? *timers : PlatformClient::Timers{});
}

Result<std::string> Machine::kernel_log(bool clear) {
    const abi::NamedCap* log = cap::find_cap(start_, "log-all");
    if (!log) return xl::fail(ErrorKind::Denied, "the manifest does not let dom0 read the kernel's log.");
    return read_log(cap::address(*log), clear);
}

Result<xl::CapabilityList> Machine::capabilities(std::optional<xl::DomainId> domain) {
    const abi::NamedCap* inspect = cap::find_cap(start_, "inspect");
    if (!inspect) return xl::fail(ErrorKind::Denied, "the manifest does not let dom0 inspect the kernel.");
    const auto supervised = p_.spawner.domains();
    const auto name = [&](std::uint64_t tag) -> std::string {
        if (tag == start_.domain_tag) return "Domain-0";
        if (const DomainRecord* record = guests_.record(static_cast<xl::DomainId>(tag)))
            return record->config.name;
        const auto it = std::ranges::find(supervised, tag, &SupervisedDomain::tag);
        if (it != supervised.end()) return it->name;
        return tag == abi::kRootTag ? xl::kSupervisorName : "?";
    };
    return list_capabilities(cap::address(*inspect), domain, name);
}

Result<std::vector<xl::StubDomainInfo>> Machine::stub_domains() {
    std::vector<xl::StubDomainInfo> out;
    for (const auto& domain : p_.spawner.domains()) {
        xl::StubDomainInfo info;
        info.name = domain.name;
        if (domain.state == abi::DomainState::Running) info.id = static_cast<xl::DomainId>(domain.tag);
        info.state = state_text(domain.state);
        info.restarts = domain.incarnation;
        if (domain.spawned) info.name += " (vmm)";
        out.push_back(std::move(info));
    }
    return out;
}

Result<void> Machine::kill_stub_domain(const std::string& name, std::uint64_t delay_ms) {
    switch (const cap::Status status = p_.spawner.kill(name, delay_ms)) {
        case cap::Status::Ok: return {};
        case cap::Status::NoCapability:
            return xl::fail(ErrorKind::NotFound, "there is no such stub domain; `stubdom list` shows them.");
        case cap::Status::NotReady: return xl::fail(ErrorKind::Other, "it is not running.");
        default:
            return xl::fail(ErrorKind::Other,
                            std::string{"it cannot be killed: "} + cap::describe(status) + ".");
    }
}

Result<void> Machine::restart_stub_domain(const std::string& name) {
    switch (const cap::Status status = p_.spawner.restart(name)) {
        case cap::Status::Ok: return {};
        case cap::Status::NoCapability:
            return xl::fail(ErrorKind::NotFound, "there is no such stub domain; `stubdom list` shows them.");
        default:
            return xl::fail(ErrorKind::Other, std::string{"it could not be started again: "} +
                                                  cap::describe(status) + "; `xl dmesg` tells more.");
    }
}

void Machine::sleep_ms(std::uint64_t duration) {
    const std::uint64_t deadline = p_.loop.env().clock.deadline_in_ms(duration);
    while (cap::read_tsc() < deadline) idle_(deadline);
}

xl::Result<std::uint64_t> Machine::seconds_utc() {
    const auto time = p_.platform.time();
    if (!time) return std::unexpected(time.error());
    const auto since = p_.loop.env().clock.ns_of_ticks(cap::read_tsc() - time->tsc);
    return (time->nanoseconds_utc + since) / 1'000'000'000;
}

std::array<std::uint8_t, 16> Machine::random_bytes() {
    std::array<std::uint8_t, 16> out{};
    if (getrandom(out.data(), out.size(), 0) != static_cast<ssize_t>(out.size()))
        cap::log_line("dom0: getrandom failed");
    return out;
}

}  // namespace bulkhead::dom0
