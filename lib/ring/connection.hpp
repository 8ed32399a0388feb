// SPDX-License-Identifier: Apache-2.0
// A client's channel to a service that may die and come back. Connecting is one IPC on a badged endpoint that
// outlives the service; afterwards everything goes through the ring. When the service dies, its doorbell's
// tombstone signals our bit, poll() says Lost, and connect() makes a new channel; what to replay is the
// client's business. Not thread-safe.
//
//     auto hub = ring::Hub::create(env);
//     ring::Connection xenstore{*hub, cap::address(*cap::find_cap(start, "connect-xenstore"))};
//     if (xenstore.connect() != cap::Status::Ok) …
//     ring::send<Request>(xenstore.channel(), 64, …);
//     for (;;) {
//         while (ring::receive<Answer>(xenstore.channel(), …) == ring::Io::Ok) {}
//         if (xenstore.channel().arm()) bits = hub->wait(deadline);
//         if ((bits & xenstore.bits()) && nothing was received && xenstore.lost()) { xenstore.connect();
//         replay }
//     }
#pragma once

#include "lib/ring/hub.hpp"

namespace bulkhead::ring {

struct ConnectOptions {
    unsigned region_bits = 14;   // of either side's region
    unsigned pool_bits = 0;      // a frame of our own that the service may read or write: bulk payload
    bool pool_writable = false;  // by the service
};

class Connection {
  public:
    Connection(Hub& hub, cap::CapAddr connect_endpoint, ConnectOptions options = {});
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Blocks until an instance of the service answers. Drops the former channel and all that was granted for
    // it.
    cap::Status connect();
    void disconnect();

    bool connected() const { return channel_ != nullptr && channel_->open(); }
    // The channel was there and is closed, or the service is gone: ask when bits() were signalled and nothing
    // came. The Hub must have seen the signal (Hub::wait, Listener). Sleeps up to 10 ms when a tombstone's
    // bit may have meant another channel.
    bool lost();

    Channel& channel() { return *channel_; }  // after connect()
    std::span<std::byte> pool() const { return {pool_map_.data(), pool_map_ ? pool_map_.bytes() : 0}; }
    uint64_t bits() const { return uint64_t{1} << bit_ | uint64_t{1} << tomb_bit_; }
    uint64_t doorbell_bit() const { return uint64_t{1} << bit_; }
    unsigned generation() const { return generation_; }  // of the channel; +1 at every connect()

  private:
    cap::Status try_connect();
    bool gone();

    Hub& hub_;
    const cap::CapAddr endpoint_;
    const ConnectOptions options_;
    unsigned bit_, tomb_bit_;
    bool stale_tomb_ = true;  // a tombstone of a former channel may still be under way: ours, or whoever's
                              // the bit was before
    bool buried_ = false;     // the tombstone of this channel was seen
    unsigned generation_ = 0;
    Handles handles_;
    OwnRegion own_;
    cap::Cap<cap::Frame> pool_;
    cap::Mapping pool_map_;
    PeerRegion peer_;
    std::unique_ptr<NotificationDoorbell> doorbell_;
    std::unique_ptr<Channel> channel_;
};

}  // namespace bulkhead::ring
