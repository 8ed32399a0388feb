// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/service.hpp"

#include <array>
#include <charconv>

namespace bulkhead::xenstore {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kOk = "OK\0"sv;

bool only(std::string_view payload, std::string_view& text) {
    Arguments arguments(payload);
    return arguments.next(text) && arguments.done();
}

template <typename T>
bool parse_number(std::string_view text, T& value) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && stop == text.data() + text.size();
}

bool only_domid(std::string_view payload, DomId& domid) {
    std::string_view text;
    return only(payload, text) && parse_domid(text, domid);
}

}  // namespace

Service::Handler Service::handler_of(Op op) {
    static constexpr std::array<Handler, 23> kHandlers = {&Service::control,
                                                          &Service::directory,
                                                          &Service::read,
                                                          &Service::get_perms,
                                                          &Service::watch,
                                                          &Service::unwatch,
                                                          &Service::transaction_start,
                                                          &Service::transaction_end,
                                                          &Service::introduce,
                                                          &Service::release,
                                                          &Service::get_domain_path,
                                                          &Service::write,
                                                          &Service::mkdir,
                                                          &Service::rm,
                                                          &Service::set_perms,
                                                          nullptr,  // WATCH_EVENT and ERROR are ours to send
                                                          nullptr,
                                                          &Service::is_domain_introduced,
                                                          &Service::resume,
                                                          &Service::set_target,
                                                          nullptr,  // RESTRICT was removed from the protocol
                                                          &Service::reset_watches,
                                                          &Service::directory_part};
    const auto index = static_cast<std::uint32_t>(op);
    return index < kHandlers.size() ? kHandlers[index] : nullptr;
}

Reply Service::handle(Session& session, const Request& request) {
    reply_ = kOk;
    const Handler handler = handler_of(request.op);
    Status status = Status::enosys;
    if (request.payload.size() > kMaxPayload)
        status = Status::e2big;
    else if (handler != nullptr)
        status = (this->*handler)(session, request);
    if (status == Status::ok && reply_.size() > kMaxPayload) status = Status::e2big;
    if (status == Status::ok) return {request.op, reply_};
    const char* name = wire_name(status);
    return {Op::error, {name, std::char_traits<char>::length(name) + 1}};
}

void Service::reply_text(std::string_view text) {
    buffer_.assign(text);
    buffer_ += '\0';
    reply_ = buffer_;
}

// ---------------------------------------------------------------- nodes

Status Service::directory(Session& session, const Request& request) {
    std::string_view path;
    if (!only(request.payload, path)) return Status::einval;
    if (const Status s = store_.directory(session, request.tx, path, listing_); s != Status::ok) return s;
    buffer_.clear();
    for (const std::string_view name : listing_.names) {
        buffer_ += name;
        buffer_ += '\0';
        if (buffer_.size() > kMaxPayload) return Status::e2big;  // the client goes on with DIRECTORY_PART
    }
    reply_ = buffer_;
    return Status::ok;
}

// generation|names from an offset on, whole names only; one more NUL says that the list ends here.
Status Service::directory_part(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view path, offset_text;
    std::size_t offset = 0;
    if (!arguments.next(path) || !arguments.next(offset_text) || !arguments.done()) return Status::einval;
    if (!parse_number(offset_text, offset)) return Status::einval;
    if (const Status s = store_.directory(session, request.tx, path, listing_); s != Status::ok) return s;
    reply_text(std::to_string(listing_.generation));
    std::size_t position = 0;
    for (const std::string_view name : listing_.names) {
        const std::size_t here = position;
        position += name.size() + 1;
        if (position <= offset) continue;
        if (here < offset) return Status::einval;  // not where a name begins
        if (buffer_.size() + name.size() + 2 > kMaxPayload) return reply_ = buffer_, Status::ok;
        buffer_ += name;
        buffer_ += '\0';
    }
    buffer_ += '\0';
    reply_ = buffer_;
    return Status::ok;
}

Status Service::read(Session& session, const Request& request) {
    std::string_view path;
    if (!only(request.payload, path)) return Status::einval;
    return store_.read(session, request.tx, path, reply_);
}

Status Service::get_perms(Session& session, const Request& request) {
    std::string_view path;
    Perms perms;
    if (!only(request.payload, path)) return Status::einval;
    if (const Status s = store_.get_perms(session, request.tx, path, perms); s != Status::ok) return s;
    buffer_.clear();
    for (const PermEntry& entry : perms.list()) {
        append_perm(entry, buffer_);
        buffer_ += '\0';
    }
    reply_ = buffer_;
    return Status::ok;
}

Status Service::write(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view path;
    if (!arguments.next(path)) return Status::einval;
    return store_.write(session, request.tx, path, arguments.rest());
}

Status Service::mkdir(Session& session, const Request& request) {
    std::string_view path;
    return only(request.payload, path) ? store_.mkdir(session, request.tx, path) : Status::einval;
}

Status Service::rm(Session& session, const Request& request) {
    std::string_view path;
    return only(request.payload, path) ? store_.remove(session, request.tx, path) : Status::einval;
}

Status Service::set_perms(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view path, text;
    PermList list;
    if (!arguments.next(path)) return Status::einval;
    while (!arguments.done()) {
        PermEntry entry;
        if (!arguments.next(text) || !parse_perm(text, entry)) return Status::einval;
        list.push_back(entry);
    }
    if (list.empty()) return Status::einval;
    return store_.set_perms(session, request.tx, path, Perms(std::move(list)));
}

// ---------------------------------------------------------------- watches and transactions

Status Service::watch(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view path, token, depth_text;
    std::int32_t depth = -1;
    if (!arguments.next(path) || !arguments.next(token)) return Status::einval;
    if (!arguments.done()) {
        if (!arguments.next(depth_text) || !arguments.done()) return Status::einval;
        if (!parse_number(depth_text, depth) || depth < 0) return Status::einval;
    }
    const Status status = store_.watch(session, path, token, depth);
    // A watch that was set before our restart has fired on attaching.
    return request.replayed && status == Status::eexist ? Status::ok : status;
}

Status Service::unwatch(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view path, token;
    if (!arguments.next(path) || !arguments.next(token)) return Status::einval;
    const Status status = store_.unwatch(session, path, token);
    return request.replayed && status == Status::enoent ? Status::ok : status;
}

Status Service::reset_watches(Session& session, const Request&) {
    return store_.reset_watches(session);
}

Status Service::transaction_start(Session& session, const Request& request) {
    TxId id{};
    if (request.tx != kNoTransaction) return Status::ebusy;
    if (const Status s = store_.begin(session, id); s != Status::ok) return s;
    reply_text(std::to_string(static_cast<std::uint32_t>(id)));
    return Status::ok;
}

Status Service::transaction_end(Session& session, const Request& request) {
    std::string_view answer;
    if (!only(request.payload, answer) || (answer != "T" && answer != "F")) return Status::einval;
    return store_.end(session, request.tx, answer == "T");
}

// ---------------------------------------------------------------- domains

Status Service::introduce(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view domid_text, gfn_text, port_text;
    DomId domid{};
    std::int64_t gfn = 0;  // signed on the wire
    std::uint32_t port = 0;
    if (!session.rights.manage_domains) return Status::eacces;
    if (!arguments.next(domid_text) || !arguments.next(gfn_text) || !arguments.next(port_text))
        return Status::einval;
    if (!parse_domid(domid_text, domid) || !parse_number(gfn_text, gfn) || !parse_number(port_text, port))
        return Status::einval;
    return store_.introduce(session, domid, static_cast<std::uint64_t>(gfn), port);
}

Status Service::release(Session& session, const Request& request) {
    DomId domid{};
    if (!session.rights.manage_domains) return Status::eacces;
    if (!only_domid(request.payload, domid)) return Status::einval;
    const Status status = store_.release(session, domid);
    return request.replayed && status == Status::enoent ? Status::ok : status;
}

Status Service::resume(Session& session, const Request& request) {
    DomId domid{};
    if (!session.rights.manage_domains) return Status::eacces;
    return only_domid(request.payload, domid) ? store_.resume(session, domid) : Status::einval;
}

Status Service::set_target(Session& session, const Request& request) {
    Arguments arguments(request.payload);
    std::string_view domid_text, target_text;
    DomId domid{}, target{};
    if (!session.rights.manage_domains) return Status::eacces;
    if (!arguments.next(domid_text) || !arguments.next(target_text) || !arguments.done())
        return Status::einval;
    if (!parse_domid(domid_text, domid) || !parse_domid(target_text, target)) return Status::einval;
    return store_.set_target(session, domid, target);
}

Status Service::get_domain_path(Session&, const Request& request) {
    DomId domid{};
    if (!only_domid(request.payload, domid)) return Status::einval;
    reply_text("/local/domain/" + std::to_string(raw(domid)));
    return Status::ok;
}

Status Service::is_domain_introduced(Session&, const Request& request) {
    DomId domid{};
    if (!only_domid(request.payload, domid)) return Status::einval;
    reply_text(store_.is_introduced(domid) ? "T" : "F");
    return Status::ok;
}

}  // namespace bulkhead::xenstore
