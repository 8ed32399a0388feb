// SPDX-License-Identifier: Apache-2.0
// The store on channels: each client is a Session whose key is the channel's badge; the badge's low half is
// its domain id, and the control role (which only the manifest gives) makes it the toolstack. A request is
// only taken when its reply has room.
#pragma once

#include <vector>

#include "lib/ring/listener.hpp"
#include "services/xenstore-stubdom/service.hpp"

namespace bulkhead::xenstore {

class ChannelService final : public ring::Service {
  public:
    explicit ChannelService(Store& store) : store_{store}, service_{store} {}
    void set_listener(ring::Listener& listener) { listener_ = &listener; }

    bool message(ring::Client& client, std::span<const std::uint64_t> words) override;
    void room(ring::Client& client) override;
    void disconnected(ring::Client& client, ring::CloseReason why) override;

    // Sends the events that the last messages caused, as far as the rings take them. Call after every turn.
    void send_events();

  private:
    Session& session_of(ring::Client& client, Store::Attach how);
    void send_events_of(ring::Client& client, Session& session);

    Store& store_;
    xenstore::Service service_;
    ring::Listener* listener_ = nullptr;
};

}  // namespace bulkhead::xenstore
