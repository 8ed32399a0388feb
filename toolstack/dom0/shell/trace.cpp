// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/trace.hpp"

#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__  // else the numbers are Xen 3.0's
#include <xen/xen.h>

#include "abi/vcpu.hpp"

namespace bulkhead::shell {

namespace {

using ULL = unsigned long long;
using abi::ExitReason;

// Of the calls that a guest with its own page tables makes.
const char* hypercall_name(std::uint32_t number) {
    switch (number) {
        case __HYPERVISOR_memory_op: return "memory_op";
        case __HYPERVISOR_set_timer_op: return "set_timer_op";
        case __HYPERVISOR_xen_version: return "xen_version";
        case __HYPERVISOR_console_io: return "console_io";
        case __HYPERVISOR_grant_table_op: return "grant_table_op";
        case __HYPERVISOR_vm_assist: return "vm_assist";
        case __HYPERVISOR_vcpu_op: return "vcpu_op";
        case __HYPERVISOR_sched_op: return "sched_op";
        case __HYPERVISOR_event_channel_op: return "event_channel_op";
        case __HYPERVISOR_physdev_op: return "physdev_op";
        case __HYPERVISOR_hvm_op: return "hvm_op";
        default: return nullptr;
    }
}

std::string hypercall(std::uint64_t detail) {
    const auto number = static_cast<std::uint32_t>(detail), first = static_cast<std::uint32_t>(detail >> 32);
    const char* name = hypercall_name(number);
    return (name ? std::string{name} : xl::format("number %u", number)) + xl::format("(0x%x, ...)", first);
}

std::string describe(const xl::GuestExit& exit) {
    switch (static_cast<ExitReason>(exit.reason)) {
        case ExitReason::Notified:
        case ExitReason::Timeout:
        case ExitReason::Synced:
        case ExitReason::InterruptWindow:
        case ExitReason::Hlt:
        case ExitReason::Pause: return "";
        case ExitReason::Cpuid: return xl::format("leaf 0x%llx", ULL{exit.detail & 0xffffffff});
        case ExitReason::MsrRead:
        case ExitReason::MsrWrite: return xl::format("MSR 0x%llx", ULL{exit.detail & 0xffffffff});
        case ExitReason::NestedFault: return xl::format("guest-physical 0x%llx", ULL{exit.detail});
        case ExitReason::Io:
            return xl::format("%s port 0x%llx", exit.detail >> 16 & 1 ? "in" : "out",
                              ULL{exit.detail & 0xffff});
        case ExitReason::Hypercall: return hypercall(exit.detail);
        default: return xl::format("0x%llx", ULL{exit.detail});
    }
}

void print(xl::Context& context, const std::string& name, std::uint32_t vcpu, const xl::ExitTrace& trace) {
    std::string out =
        xl::format("%s, vCPU %u: %llu exits; the last %zu, oldest first\n", xl::printable(name).c_str(), vcpu,
                   ULL{trace.first + trace.exits.size()}, trace.exits.size());
    std::uint64_t number = trace.first;
    for (const auto& exit : trace.exits) {
        const char* reason = abi::exit_name(static_cast<ExitReason>(exit.reason));
        const std::string text = describe(exit);
        out += xl::format("%10llu  %-13s rip %016llx", ULL{++number}, reason, ULL{exit.rip});
        out += (text.empty() ? "" : "  ") + text + "\n";
    }
    context.console.print(out);
}

}  // namespace

int trace(xl::Context& context, xl::Words words) {
    const bool one = words.size() == 3;
    const std::uint64_t wanted = one ? xl::parse_decimal(words[2]).value_or(UINT64_MAX) : 0;
    if (words.size() < 2 || words.size() > 3 || wanted > UINT16_MAX) {
        context.console.print("Usage: trace DOMAIN [VCPU]\n");
        return xl::kFailure;
    }
    const auto domain = xl::find_domain(context, words[1]);
    if (!domain) return xl::kFailure;
    const std::string who = "trace: " + xl::printable(domain->name);
    if (domain->kind != xl::DomainKind::Guest)
        return xl::report(context, who,
                          {xl::ErrorKind::Invalid, "it is no guest, so it has no vCPUs that exit."});
    const auto first = static_cast<std::uint32_t>(wanted);
    const std::uint32_t end = one ? first + 1 : domain->vcpus;
    for (std::uint32_t vcpu = first; vcpu < end; vcpu++) {
        if (context.console.interrupted()) return xl::kInterrupted;
        const auto exits = context.backend.exits(domain->id, vcpu);
        if (!exits) return xl::report(context, who, exits.error());
        print(context, domain->name, vcpu, *exits);
    }
    return xl::kSuccess;
}

}  // namespace bulkhead::shell
