// SPDX-License-Identifier: Apache-2.0
// CONTROL: what an administrator may ask of the service itself. Commands of xenstored that make no sense here
// (log files, live update: a restart does that) are ENOSYS, unknown ones EINVAL.
#include <algorithm>
#include <array>
#include <charconv>

#include "services/xenstore-stubdom/service.hpp"

namespace bulkhead::xenstore {
namespace {

constexpr std::array<std::string_view, 6> kRefused = {"live-update", "log",        "logfile",
                                                      "print",       "quota-soft", "memreport"};

void append_line(std::string& out, std::string_view name, std::uint64_t value) {
    out += name;
    out += ": ";
    out += std::to_string(value);
    out += '\n';
}

}  // namespace

Status Service::control(Session& session, const Request& request) {
    if (!session.rights.control) return Status::eacces;
    Arguments arguments(request.payload);
    std::string_view command;
    if (!arguments.next(command)) return Status::einval;
    if (command == "help")
        return reply_text("check\nhelp\nquota [set <name> <value> | <domid>]\n"), Status::ok;
    if (command == "quota") return control_quota(arguments);
    if (command == "check") {
        std::string finding;
        store_.check(finding);
        return reply_text(finding), Status::ok;
    }
    const bool known = std::find(kRefused.begin(), kRefused.end(), command) != kRefused.end();
    return known ? Status::enosys : Status::einval;
}

Status Service::control_quota(Arguments& arguments) {
    std::string out;
    std::string_view first, name, text;
    if (arguments.done()) {
        store_.for_each_quota(
            [](void* to, const char* quota, std::uint32_t value) {
                append_line(*static_cast<std::string*>(to), quota, value);
            },
            &out);
        return reply_text(out), Status::ok;
    }
    if (!arguments.next(first)) return Status::einval;
    if (first == "set") {
        std::uint32_t value = 0;
        if (!arguments.next(name) || !arguments.next(text) || !arguments.done()) return Status::einval;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || stop != text.data() + text.size()) return Status::einval;
        return store_.set_quota(name, value);
    }
    DomId domid{};
    if (!parse_domid(first, domid) || !arguments.done()) return Status::einval;
    const Account account = store_.account(domid);
    append_line(out, "nodes", account.nodes);
    append_line(out, "watches", account.watches);
    append_line(out, "transactions", account.transactions);
    append_line(out, "stored-bytes", account.stored_bytes);
    append_line(out, "transaction-bytes", account.transaction_bytes);
    return reply_text(out), Status::ok;
}

}  // namespace bulkhead::xenstore
