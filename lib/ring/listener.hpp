// SPDX-License-Identifier: Apache-2.0
// The service side: accepts clients on one endpoint, owns their channels, and deals out turns. One thread
// owns a Listener; its Hub's notification is bound to that thread, so that one receive waits for clients,
// doorbells, interrupts and time.
//
// A client is known by the badge of its endpoint capability, which the kernel delivers and nobody can forge;
// a second connect with the same badge replaces the first channel. A turn takes at most kMessagesPerTurn
// messages from each client, round-robin. Who dies, misbehaves or is full concerns nobody else.
#pragma once

#include <list>

#include "lib/ring/hub.hpp"

namespace bulkhead::ring {

struct ListenOptions {
    unsigned max_clients = 256;
    unsigned max_region_bits = 16;  // of a client's region; ours has the same size
    unsigned max_pool_bits = 0;     // 0: pools are refused
    unsigned messages_per_turn = 16;
};

// One connected client.
class Client {
  public:
    uint64_t badge() const { return badge_; }  // its domain tag, by convention
    Channel& channel() { return *channel_; }
    std::span<std::byte> pool() const {
        return pool_;
    }  // empty without one. Read it by copy_in() only: it may vanish
    bool pool_writable() const { return pool_writable_; }
    void* user = nullptr;  // the service's own

  private:
    friend class Listener;
    uint64_t badge_ = 0;
    unsigned bit_ = 0;
    Handles handles_;
    OwnRegion own_;
    PeerRegion peer_, pool_region_;
    std::span<std::byte> pool_;
    bool pool_writable_ = false;
    std::unique_ptr<NotificationDoorbell> doorbell_;
    std::unique_ptr<Channel> channel_;
    std::span<const uint64_t> pending_;  // a message that the service had no room for
    bool more_ = false;                  // its turn ended before its messages did
};

// What the service does. All called from Listener::turn(), on its thread.
class Service {
  public:
    virtual ~Service() = default;
    // False refuses the client. The channel is there; sending is allowed.
    virtual bool connected(Client&) { return true; }
    // One message, in private memory; see ring::parse(). Messages stop coming while this returns false: "not
    // now, I have no room" (back-pressure). The refused message comes again at the next turn.
    virtual bool message(Client&, std::span<const uint64_t> words) = 0;
    // The client rang or made room: try again to send what was Full. Called once for each turn in which its
    // bit was set.
    virtual void room(Client&) {}
    virtual void disconnected(Client&, CloseReason) {}
    // Bits that are nobody's doorbell: interrupts, signals of other threads, other Connections on the same
    // Hub.
    virtual void signalled(uint64_t /*bits*/) {}
};

class Listener {
  public:
    // `accept`: the endpoint, kRead. `thread`: the capability of the calling thread.
    Listener(Hub& hub, cap::CapAddr accept, Service& service, ListenOptions options = {},
             cap::CapAddr thread = cap::kMainThread);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Waits until something happens or the deadline passes, and deals with it. The Hub must have been bound:
    // Ok or Timeout; anything else is a lasting error of the endpoint.
    cap::Status turn(uint64_t deadline_tsc);

    Client* find(uint64_t badge);
    void disconnect(Client&,
                    CloseReason why);  // takes effect at the end of the turn if called from a callback
    template <typename F>
    void for_each(F&& f) {
        for (Client& client : clients_)
            if (client.channel_->open()) f(client);
    }

  private:
    void accept_client(uint64_t badge, const cap::IpcResult& request);
    Expected<Client*> open_client(uint64_t badge, const cap::IpcResult& request);
    bool prepare_receive();
    void answer(cap::Status status, uint64_t region_bits, cap::CapAddr region, cap::CapAddr doorbell,
                cap::CapAddr tombstone);
    void serve(Client& client, bool rang);
    void sweep();  // buries channels that closed
    void look_for_the_dead(bool rung);
    uint64_t doorbells() const;  // bits that belong to clients

    Hub& hub_;
    const cap::CapAddr accept_;
    Service& service_;
    const ListenOptions options_;
    cap::Cap<cap::Reply> reply_;
    cap::Status bound_ = cap::Status::NotReady;
    std::list<Client> clients_;
    cap::Cap<cap::Frame> incoming_region_, incoming_pool_;
    cap::Cap<cap::Notification> incoming_bell_, incoming_tomb_;
    bool fresh_ = false;       // the four are empty slots
    unsigned tomb_bit_;        // some client died: which, its region's end will tell
    uint64_t suspect_us_ = 0;  // while that is awaited: how long until the next look
    uint64_t look_at_ = abi::kDeadlineNever;
    bool more_ = false;  // somebody's turn was cut short: the next wait only polls
};

}  // namespace bulkhead::ring
