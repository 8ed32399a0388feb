// SPDX-License-Identifier: Apache-2.0
// The guest's xenstore connection as xenstore-stubdom's client. Keeps every unanswered request, and sends it
// again when the service comes back. Owned by the I/O thread.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "lib/ring/connection.hpp"
#include "services/vmm-stubdom/xenstore_ring.hpp"

namespace bulkhead::vmm {

class StoreLink final : public XenstoreLink {
  public:
    StoreLink(ring::Hub& hub, cap::CapAddr endpoint) : connection_{hub, endpoint} {}
    cap::Status connect();
    void poll(XenstoreRing* ring);
    bool request(const xsd_sockmsg& header, std::string_view payload) override;

  private:
    struct Pending {
        xsd_sockmsg header;
        std::string payload;
        bool sent;  // to the present instance
    };
    bool send(const Pending& pending, bool replayed);
    void reconnect();
    void receive(XenstoreRing& ring);

    ring::Connection connection_;
    bool resumed_ = false;
    std::deque<Pending> pending_;
    std::optional<std::pair<std::string, std::string>> held_event_;  // the guest's ring had no room for it
};

}  // namespace bulkhead::vmm
