// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/channel_service.hpp"

#include "abi/start.hpp"
#include "lib/ring/message.hpp"
#include "schema/xenstore.capnp.h"

namespace bulkhead::xenstore {
namespace {

using ring::Client;
using ring::Io;
using schema::xenstore::FromClient;
using schema::xenstore::ToClient;

constexpr size_t kReplyWords = 24 + kMaxPayload / 8;  // root, reply struct, list padding
constexpr size_t kEventWords = 24 + 2 * kMaxPayload / 8;

capnp::Data::Reader data_of(std::string_view text) {
    return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

bool is_control(const Client& client) {
    return client.badge() & abi::kControlRole;
}

}  // namespace

Session& ChannelService::session_of(Client& client, Store::Attach how) {
    if (!client.user) {
        const DomId domain{static_cast<std::uint16_t>(client.badge())};
        client.user = &store_.attach(SessionKey{client.badge()}, domain,
                                     is_control(client) ? Rights::toolstack() : Rights::guest(), how);
    }
    return *static_cast<Session*>(client.user);
}

bool ChannelService::message(Client& client, std::span<const std::uint64_t> words) {
    // Nothing is carried out whose answer could not be sent: make sure of the room first. A prepared entry
    // that is not committed is forgotten, and the client rings when it has made room.
    std::span<std::uint64_t> probe;
    if (client.channel().prepare(kReplyWords, probe) == Io::Full) return false;

    (void)ring::parse<FromClient>(client.channel(), words, [&](FromClient::Reader message) {
        if (message.isHello()) {
            (void)session_of(client,
                             message.getHello().getResumed() ? Store::Attach::resumed : Store::Attach::fresh);
            return true;
        }
        Session& session = session_of(client, Store::Attach::fresh);
        if (message.isDomainStopped()) {
            if (!session.rights.manage_domains) return false;
            store_.domain_stopped(DomId{message.getDomainStopped()});
            return true;
        }
        if (!message.isRequest()) return false;
        const auto request = message.getRequest();
        const auto payload = request.getPayload();
        if (payload.size() > kMaxPayload) return false;
        const Reply reply =
            service_.handle(session, {static_cast<Op>(request.getOp()),
                                      TxId{request.getTx()},
                                      {reinterpret_cast<const char*>(payload.begin()), payload.size()},
                                      request.getReplayed()});
        return ring::send<ToClient>(client.channel(), kReplyWords, [&](ToClient::Builder out) {
                   auto to = out.initReply();
                   to.setId(request.getId());
                   to.setOp(static_cast<std::uint32_t>(reply.op));
                   to.setTx(request.getTx());
                   to.setPayload(data_of(reply.payload));
               }) == Io::Ok;
    });
    return true;
}

void ChannelService::room(Client& client) {
    if (client.user) send_events_of(client, *static_cast<Session*>(client.user));
}

void ChannelService::disconnected(Client& client, ring::CloseReason) {
    if (client.user) store_.detach(*static_cast<Session*>(client.user));
    client.user = nullptr;
}

void ChannelService::send_events() {
    while (Session* session = store_.take_ready())
        if (Client* client = listener_->find(static_cast<std::uint64_t>(session->key())))
            send_events_of(*client, *session);
}

// What does not fit waits in the session; room() comes when the client has made some.
void ChannelService::send_events_of(Client& client, Session& session) {
    while (const Session::Event* event = session.next_event()) {
        const Io sent = ring::send<ToClient>(
            client.channel(),
            std::min(kEventWords, 32 + (event->path.size() + event->watch->token.size()) / 8),
            [&](ToClient::Builder out) {
                out.initEvent().setPath(data_of(event->path));
                out.getEvent().setToken(data_of(event->watch->token));
            });
        if (sent != Io::Ok) return;
        session.pop_event();
    }
}

}  // namespace bulkhead::xenstore
