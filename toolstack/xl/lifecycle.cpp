// SPDX-License-Identifier: Apache-2.0
// xl shutdown, reboot, destroy, pause, unpause, sysrq: what an operator does to a running domain.
#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

namespace {

// One of the primitives of Backend that take a domain and nothing else.
using Primitive = Result<void> (Backend::*)(DomainId);

int act(Context& context, const Arguments& arguments, const char* verb, Primitive primitive) {
    const auto domain = find_domain(context, arguments.operands[0]);
    if (!domain) return kFailure;
    if (domain->kind == DomainKind::StubDomain) {
        context.console.print("xl: '" + domain->name + "' is a stub domain of the system and cannot be " +
                              verb + "; `stubdom restart " + domain->name + "` starts it anew.\n");
        return kFailure;
    }
    if (domain->kind == DomainKind::Dom0) {
        context.console.print(std::string("xl: domain 0 runs this command and cannot be ") + verb + ".\n");
        return kFailure;
    }
    const auto ok = (context.backend.*primitive)(domain->id);
    return ok ? kSuccess : report(context, "xl: " + domain->name, ok.error());
}

int pause(Context& context, const Arguments& arguments) {
    return act(context, arguments, "paused", &Backend::pause);
}
int unpause(Context& context, const Arguments& arguments) {
    return act(context, arguments, "unpaused", &Backend::unpause);
}

int destroy(Context& context, const Arguments& arguments) {
    if (arguments.has('f')) {
        context.console.print(
            "xl destroy: the option '-f' is for domain 0, and Bulkhead's domain 0 cannot destroy itself; "
            "`stubdom restart dom0` restarts it.\n");
        return kFailure;
    }
    return act(context, arguments, "destroyed", &Backend::destroy);
}

// `fall_back`: -F. xl then presses an ACPI button, which a PVH guest does not have.
int ask(Context& context, const DomainInfo& domain, bool reboot, bool fall_back) {
    context.console.print(format("%s domain %u\n", reboot ? "Rebooting" : "Shutting down", domain.id));
    const auto ok = reboot ? context.backend.reboot(domain.id) : context.backend.shutdown(domain.id);
    if (ok) return kSuccess;
    if (ok.error().kind == ErrorKind::Unsupported) {
        context.console.print(
            fall_back ? std::string("PV control interface not available, and a PVH guest has no ACPI ") +
                            (reboot ? "reset" : "power") + " button for -F to press; `xl destroy` ends it.\n"
                      : std::string("PV control interface not available: external graceful ") +
                            (reboot ? "reboot" : "shutdown") + " not possible.\n");
        return kFailure;
    }
    return report(context, "xl: " + domain.name, ok.error());
}

int wait_for_all(Context& context, const std::vector<DomainInfo>& domains, WaitFor what) {
    context.console.print(format("Waiting for %zu domains\n", domains.size()));
    for (const auto& domain : domains) {
        const auto end = wait_interruptibly(context, domain.id, what);
        if (!end) return report(context, "xl: " + domain.name, end.error());
        if (!*end) {
            context.console.print("xl: no longer waiting.\n");
            return kInterrupted;
        }
        if ((*end)->died) {
            context.console.print(format("Domain %u has been destroyed\n", domain.id));
        } else {
            context.console.print(format("Domain %u has been shut down, reason code %u\n", domain.id,
                                         static_cast<unsigned>((*end)->reason)));
        }
    }
    return kSuccess;
}

int shut_down_or_reboot(Context& context, const Arguments& arguments, bool reboot) {
    const bool all = arguments.has('a');
    if (all == !arguments.operands.empty()) {
        context.console.print(all ? "You cannot specify -a and a domain id at once.\n"
                                  : "You must specify -a or a domain id.\n");
        return kFailure;
    }
    std::vector<DomainInfo> domains;
    if (all) {
        const auto list = context.backend.domains();
        if (!list) return report(context, "xl", list.error());
        for (const auto& domain : *list) {
            if (domain.kind == DomainKind::Guest && !domain.shutdown && !domain.dying)
                domains.push_back(domain);
        }
    } else {
        const auto domain = find_domain(context, arguments.operands[0]);
        if (!domain) return kFailure;
        if (domain->kind != DomainKind::Guest) {
            context.console.print("xl: '" + domain->name +
                                  "' is not a guest; `poweroff` and `reboot` act on the machine, `stubdom "
                                  "restart` on a stub domain.\n");
            return kFailure;
        }
        domains.push_back(*domain);
    }
    int status = kSuccess;
    std::vector<DomainInfo> asked;
    for (const auto& domain : domains) {
        if (ask(context, domain, reboot, arguments.has('F')) == kSuccess) {
            asked.push_back(domain);
        } else {
            status = kFailure;
        }
    }
    const auto waits = arguments.count('w');
    if (waits == 0 || asked.empty()) return status;
    const int waited = wait_for_all(context, asked, waits > 1 ? WaitFor::Death : WaitFor::Shutdown);
    return waited == kSuccess ? status : waited;
}

int shutdown(Context& context, const Arguments& arguments) {
    return shut_down_or_reboot(context, arguments, false);
}
int reboot(Context& context, const Arguments& arguments) {
    return shut_down_or_reboot(context, arguments, true);
}

int sysrq(Context& context, const Arguments& arguments) {
    const auto domain = find_domain(context, arguments.operands[0]);
    if (!domain) return kFailure;
    const auto& letter = arguments.operands[1];
    const bool valid = letter.size() == 1 && letter[0] > ' ' && letter[0] <= '~';
    if (!valid || domain->kind != DomainKind::Guest) {
        context.console.print(valid ? "xl: '" + domain->name + "' is not a guest and takes no sysrq.\n"
                                    : "Invalid sysrq: expected one letter.\n");
        return kFailure;
    }
    const auto ok = context.backend.sysrq(domain->id, letter[0]);
    return ok ? kSuccess : report(context, "xl: " + domain->name, ok.error());
}

constexpr OptionSpec kShutdownOptions[] = {{'a', "all"}, {'w', "wait"}, {'F', ""}};
constexpr OptionSpec kDestroyOptions[] = {{'f', ""}};
constexpr char kShutdownHelp[] =
    "-a, --all               All guest domains.\n-w, --wait              Wait for the guest(s) to end; "
    "twice: for their death.\n-F                      Fall back to an ACPI event (PVH guests have none).";

constexpr Subcommand kTable[] = {
    {"destroy", "<Domain>", "Terminate a domain immediately", "", 1, 1, true, kDestroyOptions, destroy},
    {"shutdown", "[options] <-a|Domain>", "Issue a shutdown signal to a domain", kShutdownHelp, 0, 1, true,
     kShutdownOptions, shutdown},
    {"reboot", "[options] <-a|Domain>", "Issue a reboot signal to a domain", kShutdownHelp, 0, 1, true,
     kShutdownOptions, reboot},
    {"pause", "<Domain>", "Pause execution of a domain", "", 1, 1, true, {}, pause},
    {"unpause", "<Domain>", "Unpause a paused domain", "", 1, 1, true, {}, unpause},
    {"sysrq", "<Domain> <letter>", "Send a sysrq to a domain", "", 2, 2, true, {}, sysrq},
};

}  // namespace

std::span<const Subcommand> lifecycle_subcommands() {
    return kTable;
}

}  // namespace bulkhead::xl
