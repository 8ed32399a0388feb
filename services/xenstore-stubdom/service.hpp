// SPDX-License-Identifier: Apache-2.0
// The wire operations: a decoded request from a client in, a reply out, watch events left with their
// sessions.
//
// The payload is the bytes that a guest wrote, at most 4096 of them; nothing about them is trusted.
// One thread. A reply points into the service or its store and is valid until the next handle().
//
// What the owner of the channels does per turn: take a message, handle(), send the reply, then for each
// store.take_ready() send events while there is room. A reply goes out before the events that its request
// caused.
#pragma once

#include <string>
#include <string_view>

#include "services/xenstore-stubdom/store.hpp"

namespace bulkhead::xenstore {

inline constexpr std::size_t kMaxPayload = 4096;

// Values as in xen/io/xs_wire.h.
enum class Op : std::uint32_t {
    control = 0,
    directory,
    read,
    get_perms,
    watch,
    unwatch,
    transaction_start,
    transaction_end,
    introduce,
    release,
    get_domain_path,
    write,
    mkdir,
    rm,
    set_perms,
    watch_event,
    error,
    is_domain_introduced,
    resume,
    set_target,
    reset_watches = 21,
    directory_part,
    invalid = 0xffff,
};

struct Request {
    Op op = Op::invalid;
    TxId tx{};
    std::string_view payload;
    bool replayed = false;  // sent again after our restart: it may have been carried out already
};

struct Reply {
    Op op = Op::invalid;
    std::string_view payload;
};

// NUL-terminated strings at the front of a payload, then whatever is left.
class Arguments {
  public:
    explicit Arguments(std::string_view payload) : rest_(payload) {}
    bool next(std::string_view& text) {
        const std::size_t nul = rest_.find('\0');
        if (nul == std::string_view::npos) return false;
        text = rest_.substr(0, nul);
        rest_.remove_prefix(nul + 1);
        return true;
    }
    std::string_view rest() const { return rest_; }
    bool done() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

class Service {
  public:
    explicit Service(Store& store) : store_(store) {}
    Reply handle(Session& session, const Request& request);

  private:
    // Each sets reply_ (or leaves it as "OK") and says how it went.
    using Handler = Status (Service::*)(Session&, const Request&);
    static Handler handler_of(Op op);

    Status directory(Session& session, const Request& request);
    Status directory_part(Session& session, const Request& request);
    Status read(Session& session, const Request& request);
    Status get_perms(Session& session, const Request& request);
    Status write(Session& session, const Request& request);
    Status mkdir(Session& session, const Request& request);
    Status rm(Session& session, const Request& request);
    Status set_perms(Session& session, const Request& request);
    Status watch(Session& session, const Request& request);
    Status unwatch(Session& session, const Request& request);
    Status reset_watches(Session& session, const Request& request);
    Status transaction_start(Session& session, const Request& request);
    Status transaction_end(Session& session, const Request& request);
    Status introduce(Session& session, const Request& request);
    Status release(Session& session, const Request& request);
    Status resume(Session& session, const Request& request);
    Status set_target(Session& session, const Request& request);
    Status get_domain_path(Session& session, const Request& request);
    Status is_domain_introduced(Session& session, const Request& request);
    // control.cpp
    Status control(Session& session, const Request& request);
    Status control_quota(Arguments& arguments);

    void reply_text(std::string_view text);  // with its NUL

    Store& store_;
    std::string_view reply_;
    std::string buffer_;
    Store::Listing listing_;
};

}  // namespace bulkhead::xenstore
