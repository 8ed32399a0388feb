// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/xl.hpp"

#include <algorithm>
#include <array>

namespace bulkhead::xl {

namespace {

// What xl(1) of Xen 4.17 has and Bulkhead does not (yet): refused by name.
constexpr std::string_view kRefused[] = {"block-attach",
                                         "block-detach",
                                         "block-list",
                                         "block-resize",
                                         "button-press",
                                         "cd-eject",
                                         "cd-insert",
                                         "channel-list",
                                         "claims",
                                         "compat",
                                         "config-update",
                                         "cpupool-cpu-add",
                                         "cpupool-cpu-remove",
                                         "cpupool-create",
                                         "cpupool-destroy",
                                         "cpupool-list",
                                         "cpupool-migrate",
                                         "cpupool-numa-split",
                                         "cpupool-rename",
                                         "debug-keys",
                                         "devd",
                                         "dump-core",
                                         "fork-launch-dm",
                                         "fork-vm",
                                         "getenforce",
                                         "loadpolicy",
                                         "mem-max",
                                         "mem-set",
                                         "migrate",
                                         "migrate-receive",
                                         "network-attach",
                                         "network-detach",
                                         "network-list",
                                         "pci-assignable-add",
                                         "pci-assignable-list",
                                         "pci-assignable-remove",
                                         "pci-attach",
                                         "pci-detach",
                                         "pci-list",
                                         "psr-cat-cbm-set",
                                         "psr-cat-set",
                                         "psr-cat-show",
                                         "psr-cmt-attach",
                                         "psr-cmt-detach",
                                         "psr-cmt-show",
                                         "psr-hwinfo",
                                         "psr-mba-set",
                                         "psr-mba-show",
                                         "qemu-monitor-command",
                                         "remus",
                                         "restore",
                                         "save",
                                         "sched-credit",
                                         "sched-credit2",
                                         "sched-rtds",
                                         "set-parameters",
                                         "setenforce",
                                         "sharing",
                                         "tmem-freeable",
                                         "tmem-list",
                                         "top",
                                         "trigger",
                                         "usb-list",
                                         "usbctrl-attach",
                                         "usbctrl-detach",
                                         "usbdev-attach",
                                         "usbdev-detach",
                                         "vcpu-pin",
                                         "vcpu-set",
                                         "vkb-attach",
                                         "vkb-detach",
                                         "vkb-list",
                                         "vncviewer",
                                         "vsnd-attach",
                                         "vsnd-detach",
                                         "vsnd-list",
                                         "vtpm-attach",
                                         "vtpm-detach",
                                         "vtpm-list"};

// Every table, in the order in which `xl help` shows them.
std::array<std::span<const Subcommand>, 5> tables() {
    return {create_subcommands(), list_subcommands(), lifecycle_subcommands(), name_subcommands(),
            host_subcommands()};
}

const Subcommand* find_subcommand(std::string_view name) {
    for (const auto table : tables()) {
        for (const auto& subcommand : table) {
            if (subcommand.name == name) return &subcommand;
        }
    }
    return nullptr;
}

int refuse_subcommand(Context& context, const std::string& name) {
    const bool known = std::find(std::begin(kRefused), std::end(kRefused), name) != std::end(kRefused);
    if (known) {
        context.console.print("xl: '" + name + "' is not supported by Bulkhead yet.\n");
    } else {
        context.console.print("xl: unknown subcommand '" + printable(name) + "'; `xl help` lists them.\n");
    }
    return kFailure;
}

void print_help(Context& context, const Subcommand& subcommand) {
    std::string text =
        "Usage: xl " + std::string(subcommand.changes ? "[-N] " : "") + std::string(subcommand.name);
    if (!subcommand.usage.empty()) text += " " + std::string(subcommand.usage);
    text += "\n\n" + std::string(subcommand.summary) + ".\n";
    if (!subcommand.options.empty()) text += "\nOptions:\n\n" + std::string(subcommand.options) + "\n";
    context.console.print(text);
}

int print_all_help(Context& context) {
    std::string text = "Usage xl [-N] <subcommand> [args]\n\nxl full list of subcommands:\n\n";
    for (const auto table : tables()) {
        for (const auto& subcommand : table)
            text += format(" %-19s %s\n", std::string(subcommand.name).c_str(),
                           std::string(subcommand.summary).c_str());
    }
    text += format(" %-19s %s\n", "help", "Show this list, or the usage of one subcommand");
    context.console.print(text);
    return kSuccess;
}

int help(Context& context, Words words) {
    if (words.empty() || words[0] == "--long") return print_all_help(context);
    const auto* subcommand = find_subcommand(words[0]);
    if (!subcommand) return refuse_subcommand(context, words[0]);
    print_help(context, *subcommand);
    return kSuccess;
}

int run_subcommand(Context& context, const Subcommand& subcommand, Words words, bool dry_run) {
    if (!words.empty() && (words[0] == "-h" || words[0] == "--help")) {
        print_help(context, subcommand);
        return kSuccess;
    }
    const std::string name = "xl " + std::string(subcommand.name);
    auto arguments = parse_arguments(name, words, subcommand.specs);
    if (!arguments) {
        context.console.print(arguments.error().sentence + "\n");
        return kFailure;
    }
    if (arguments->operands.size() < subcommand.least_operands) {
        context.console.print(format("'%s' requires at least %zu argument%s.\n\n", name.c_str(),
                                     subcommand.least_operands, subcommand.least_operands > 1 ? "s" : ""));
        print_help(context, subcommand);
        return kFailure;
    }
    if (arguments->operands.size() > subcommand.most_operands) {
        context.console.print(name + ": unexpected argument '" +
                              printable(arguments->operands[subcommand.most_operands]) + "'.\n");
        return kFailure;
    }
    if (dry_run && subcommand.changes) {
        // `create` has a dry run of its own, which shows the configuration.
        static constexpr OptionSpec kDryRun{'n', "dryrun"};
        if (subcommand.name != "create") {
            context.console.print("xl: dry run: '" + std::string(subcommand.name) + "' was not executed.\n");
            return kSuccess;
        }
        arguments->options.push_back({&kDryRun, ""});
    }
    return subcommand.run(context, *arguments);
}

}  // namespace

int report(Context& context, std::string_view who, const Error& error) {
    context.console.print(std::string(who) + ": " + printable(error.sentence) + "\n");
    return kFailure;
}

std::optional<DomainInfo> find_domain(Context& context, std::string_view id_or_name) {
    const auto domains = context.backend.domains();
    if (!domains) {
        report(context, "xl", domains.error());
        return std::nullopt;
    }
    const auto id = parse_decimal(id_or_name);
    for (const auto& domain : *domains) {
        if (id ? domain.id == *id : domain.name == id_or_name) return domain;
    }
    // Xen's own words and libxl's ERROR_INVAL.
    context.console.print(printable(id_or_name) + " is an invalid domain identifier (rc=-6)\n");
    return std::nullopt;
}

Result<std::optional<DomainEnd>> wait_interruptibly(Context& context, DomainId domain, WaitFor what) {
    constexpr std::int64_t kSliceMs = 100;
    for (;;) {
        auto end = context.backend.wait(domain, what, kSliceMs);
        if (!end || *end) return end;
        if (context.console.interrupted() || context.console.ended()) return std::optional<DomainEnd>{};
    }
}

int run_xl(Context& context, Words words) {
    words = words.subspan(1);
    bool dry_run = false;
    for (; !words.empty() && words[0].starts_with('-'); words = words.subspan(1)) {
        if (words[0] == "-h" || words[0] == "--help") return print_all_help(context);
        if (words[0] != "-N") {
            context.console.print("xl: the global option '" + printable(words[0]) +
                                  "' is not supported by Bulkhead (supported: -N).\n");
            return kFailure;
        }
        dry_run = true;
    }
    if (words.empty()) {
        print_all_help(context);
        return kFailure;
    }
    if (words[0] == "help") return help(context, words.subspan(1));
    const auto* subcommand = find_subcommand(words[0]);
    if (!subcommand) return refuse_subcommand(context, words[0]);
    return run_subcommand(context, *subcommand, words.subspan(1), dry_run);
}

std::vector<std::string_view> xl_subcommand_names() {
    std::vector<std::string_view> names;
    for (const auto table : tables()) {
        for (const auto& subcommand : table) names.push_back(subcommand.name);
    }
    names.push_back("help");
    return names;
}

}  // namespace bulkhead::xl
