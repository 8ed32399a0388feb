// SPDX-License-Identifier: Apache-2.0
// Commands that Xen's tools have no equivalent of: caps, stubdom, trace, selftest, poweroff,
// reboot.
#include "toolstack/dom0/shell/capability_view.hpp"
#include "toolstack/dom0/shell/selftest.hpp"
#include "toolstack/dom0/shell/shell.hpp"
#include "toolstack/dom0/shell/trace.hpp"

namespace bulkhead::shell {

namespace {

using xl::Context;
using xl::Words;

int caps(Context& context, Words words) {
    static constexpr xl::OptionSpec kOptions[] = {{0, "json"}, {0, "dot"}};
    const auto arguments = xl::parse_arguments("caps", words.subspan(1), kOptions);
    if (!arguments) {
        context.console.print(arguments.error().sentence + "\n");
        return xl::kFailure;
    }
    const bool json = arguments->has(std::string_view("json")), dot = arguments->has(std::string_view("dot"));
    if (arguments->operands.size() > 1 || (json && dot)) {
        context.console.print("Usage: caps [DOMAIN] [--json|--dot]\n");
        return xl::kFailure;
    }
    std::optional<xl::DomainId> id;
    if (!arguments->operands.empty() && arguments->operands[0] == xl::kSupervisorName) {
        id = xl::kSupervisorId;
    } else if (!arguments->operands.empty()) {
        const auto domain = xl::find_domain(context, arguments->operands[0]);
        if (!domain) return xl::kFailure;
        id = domain->id;
    }
    const auto list = context.backend.capabilities(id);
    if (!list) return xl::report(context, "caps", list.error());
    const auto print = [&](std::string_view text) { context.console.print(text); };
    (json ? capability_json : dot ? capability_dot : capability_table)(*list, print);
    return xl::kSuccess;
}

int stubdom_list(Context& context) {
    const auto list = context.backend.stub_domains();
    if (!list) return xl::report(context, "stubdom", list.error());
    std::string out = xl::format("%-40s %5s %-12s %8s\n", "Name", "ID", "State", "Restarts");
    for (const auto& domain : *list) {
        const std::string id = domain.id ? xl::format("%u", *domain.id) : "-";
        out += xl::format("%-40s %5s %-12s %8u\n", domain.name.c_str(), id.c_str(), domain.state.c_str(),
                          domain.restarts);
    }
    context.console.print(xl::printable(out));
    return xl::kSuccess;
}

int stubdom(Context& context, Words words) {
    constexpr std::uint64_t kMaxDelayMs = 60'000;
    if (words.size() == 2 && words[1] == "list") return stubdom_list(context);
    const bool restart = words.size() == 3 && words[1] == "restart";
    const bool kill = (words.size() == 3 || words.size() == 4) && words[1] == "kill";
    const auto delay = words.size() == 4 ? xl::parse_decimal(words[3]) : std::optional<std::uint64_t>{0};
    if ((!restart && !kill) || !delay || *delay > kMaxDelayMs) {
        context.console.print(
            "Usage: stubdom list | stubdom restart NAME | stubdom kill NAME [MILLISECONDS, at most 60000]\n");
        return xl::kFailure;
    }
    const auto ok = kill ? context.backend.kill_stub_domain(words[2], *delay)
                         : context.backend.restart_stub_domain(words[2]);
    return ok ? xl::kSuccess : xl::report(context, "stubdom: " + xl::printable(words[2]), ok.error());
}

int end_machine(Context& context, Words words, xl::Result<void> (xl::Backend::*how)()) {
    if (words.size() > 1) {
        context.console.print("Usage: " + words[0] + "\n");
        return xl::kFailure;
    }
    const auto ok = (context.backend.*how)();
    return ok ? xl::kSuccess : xl::report(context, words[0], ok.error());
}

int poweroff(Context& context, Words words) {
    return end_machine(context, words, &xl::Backend::power_off_machine);
}
int reboot(Context& context, Words words) {
    return end_machine(context, words, &xl::Backend::reboot_machine);
}

constexpr ShellCommand kTable[] = {
    {"caps", "[DOMAIN] [--json|--dot]", "list the capabilities of all domains, or of one", caps},
    {"stubdom", "list | restart NAME | kill NAME [MS]", "list stub domains, start one anew, or let it crash",
     stubdom},
    {"trace", "DOMAIN [VCPU]", "show the last exits and hypercalls of a guest's vCPUs", trace},
    {"selftest", "", "try what the machine has, and report what works", selftest},
    {"poweroff", "", "switch the machine off at once; see `xl shutdown -a -w`", poweroff},
    {"reboot", "", "reset the machine at once", reboot},
};

}  // namespace

std::span<const ShellCommand> system_commands() {
    return kTable;
}

}  // namespace bulkhead::shell
