// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/store_link.hpp"

#include <algorithm>

#include "lib/ring/message.hpp"
#include "schema/xenstore.capnp.h"

namespace bulkhead::vmm {

namespace {

using schema::xenstore::FromClient;
using schema::xenstore::ToClient;

std::string_view text(capnp::Data::Reader data) {
    return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

}  // namespace

cap::Status StoreLink::connect() {
    const cap::Status status = connection_.connect();
    if (status != cap::Status::Ok) return status;
    ring::send<FromClient>(connection_.channel(), 8, [&](auto m) { m.initHello().setResumed(resumed_); });
    resumed_ = true;
    return status;
}

void StoreLink::reconnect() {
    for (Pending& p : pending_) p.sent = false;
    connect();
}

bool StoreLink::send(const Pending& p, bool replayed) {
    return ring::send<FromClient>(connection_.channel(), 16 + p.payload.size() / 8, [&](auto m) {
               auto r = m.initRequest();
               r.setId(p.header.req_id);
               r.setOp(p.header.type);
               r.setTx(p.header.tx_id);
               r.setReplayed(replayed);
               r.setPayload(capnp::Data::Reader{reinterpret_cast<const kj::byte*>(p.payload.data()),
                                                p.payload.size()});
           }) == ring::Io::Ok;
}

bool StoreLink::request(const xsd_sockmsg& header, std::string_view payload) {
    if (!connection_.connected()) return false;
    // Requests that a new instance has yet to see go first.
    if (std::ranges::any_of(pending_, [](const Pending& p) { return !p.sent; })) return false;
    Pending p{header, std::string{payload}, true};
    if (!send(p, false)) return false;
    pending_.push_back(std::move(p));
    return true;
}

void StoreLink::receive(XenstoreRing& guest) {
    const auto handle = [&](auto m) {
        if (m.isEvent()) {
            const std::string_view path = text(m.getEvent().getPath()), token = text(m.getEvent().getToken());
            if (!guest.event(path, token)) held_event_.emplace(path, token);
            return true;
        }
        const auto r = m.getReply();
        const auto asked =
            std::ranges::find_if(pending_, [&](const Pending& p) { return p.header.req_id == r.getId(); });
        if (asked == pending_.end()) return true;
        pending_.erase(asked);
        const std::string_view payload = text(r.getPayload());
        guest.reply({r.getOp(), r.getId(), r.getTx(), static_cast<uint32_t>(payload.size())}, payload);
        return true;
    };
    while (!held_event_ && ring::receive<ToClient>(connection_.channel(), handle) == ring::Io::Ok) {
    }
}

void StoreLink::poll(XenstoreRing* guest) {
    if (connection_.lost()) reconnect();
    if (!connection_.connected()) return;
    for (Pending& p : pending_) {
        if (p.sent) continue;
        if (!send(p, true)) break;
        p.sent = true;
    }
    if (!guest) {
        connection_.channel().arm();
        return;
    }
    if (held_event_ && guest->event(held_event_->first, held_event_->second)) held_event_.reset();
    do receive(*guest);
    while (!held_event_ && connection_.connected() && !connection_.channel().arm());
}

}  // namespace bulkhead::vmm
