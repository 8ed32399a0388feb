// SPDX-License-Identifier: Apache-2.0
// xl domid, domname, rename.
#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

namespace {

int domid(Context& context, const Arguments& arguments) {
    const auto domains = context.backend.domains();
    if (!domains) return report(context, "xl", domains.error());
    for (const auto& domain : *domains) {
        if (domain.name != arguments.operands[0]) continue;
        context.console.print(format("%u\n", domain.id));
        return kSuccess;
    }
    context.console.print("Can't get domid of domain name '" + printable(arguments.operands[0]) +
                          "', maybe this domain does not exist.\n");
    return kFailure;
}

int domname(Context& context, const Arguments& arguments) {
    const auto id = parse_decimal(arguments.operands[0]);
    if (!id) {
        context.console.print("Invalid domain id.\n");
        return kFailure;
    }
    const auto domains = context.backend.domains();
    if (!domains) return report(context, "xl", domains.error());
    for (const auto& domain : *domains) {
        if (domain.id != *id) continue;
        context.console.print(domain.name + "\n");
        return kSuccess;
    }
    context.console.print("Can't get domain name of domain id '" + printable(arguments.operands[0]) +
                          "', maybe this domain does not exist.\n");
    return kFailure;
}

int rename(Context& context, const Arguments& arguments) {
    const auto domain = find_domain(context, arguments.operands[0]);
    if (!domain) return kFailure;
    const auto& name = arguments.operands[1];
    const std::string failure = "Can't rename domain '" + domain->name + "' to '" + printable(name) + "': ";
    if (domain->kind != DomainKind::Guest) {
        context.console.print(failure + "it is not a guest.\n");
        return kFailure;
    }
    if (!valid_domain_name(name)) {
        context.console.print(failure +
                              "a name is 1 to 63 letters, digits or any of _ . + -, beginning with a letter "
                              "or digit, and not a number.\n");
        return kFailure;
    }
    const auto ok = context.backend.rename(domain->id, name);
    if (ok) return kSuccess;
    context.console.print(failure + printable(ok.error().sentence) + "\n");
    return kFailure;
}

constexpr Subcommand kTable[] = {
    {"domid", "<DomainName>", "Convert a domain name to domain id", "", 1, 1, false, {}, domid},
    {"domname", "<DomainId>", "Convert a domain id to domain name", "", 1, 1, false, {}, domname},
    {"rename", "<Domain> <NewDomainName>", "Rename a domain", "", 2, 2, true, {}, rename},
};

}  // namespace

std::span<const Subcommand> name_subcommands() {
    return kTable;
}

}  // namespace bulkhead::xl
