// SPDX-License-Identifier: Apache-2.0
#include "lib/ring/connection.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "abi/start.hpp"

namespace bulkhead::ring {

namespace rights = abi::rights;
using cap::CapAddr;
using cap::Status;

Connection::Connection(Hub& hub, CapAddr connect_endpoint, ConnectOptions options)
    : hub_{hub},
      endpoint_{connect_endpoint},
      options_{options},
      bit_{hub.share_bit()},
      tomb_bit_{hub.share_bit(Hub::Use::Tomb)} {}

Connection::~Connection() {
    disconnect();
    hub_.give_bit(bit_);
    hub_.give_bit(tomb_bit_);
}

// The channel first (it closes politely), then what it was made of: the frames' end revokes every copy of
// them.
void Connection::disconnect() {
    // Our tombstone, once out of our hands, signals when it is taken back, or has done so unseen: also the
    // one of a connect that its service did not survive.
    if (handles_) stale_tomb_ |= !std::exchange(buried_, false);
    if (channel_) channel_->close(CloseReason::Requested);
    channel_.reset();
    doorbell_.reset();
    peer_ = {};
    own_ = {};
    pool_map_ = {};
    pool_ = {};
    handles_ = {};
}

// The tombstone's bit was signalled. If it can only have been this channel's, that is proof. If not, the
// region's end is: it follows within moments, and should it not, the next access to it says so.
bool Connection::gone() {
    if (!std::exchange(stale_tomb_, false) && hub_.users(tomb_bit_) == 1) return true;
    for (int attempt = 0; attempt < 10; ++attempt) {
        if (!peer_.alive()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return false;
}

bool Connection::lost() {
    if (!channel_) return false;
    if (channel_->check_peer() && hub_.take_seen(tomb_bit_) && gone()) {
        buried_ = !peer_.alive();  // else it may be a mistake, and the true signal is to come
        channel_->close(CloseReason::PeerGone);
    }
    return !channel_->open();
}

Status Connection::connect() {
    for (;;) {
        const Status status = try_connect();
        if (status == Status::Ok) return status;
        disconnect();
        // The service died with our call in its hands, or died between its answer and now: the next instance
        // will take it.
        if (status != Status::PeerGone) return status;
    }
}

Status Connection::try_connect() {
    disconnect();
    cap::Environment& env = hub_.env();
    auto own = OwnRegion::create(env, options_.region_bits);
    if (!own) return own.error();
    own_ = std::move(*own);
    if (options_.pool_bits) {
        auto pool = OwnRegion::create(env, options_.pool_bits);
        if (!pool) return pool.error();
        pool_ = std::move(pool->frame);
        pool_map_ = std::move(pool->mapping);
    }

    // Sent capabilities are copied: what the service gets are children of these, and these go when this
    // function returns.
    const uint8_t pool_rights =
        static_cast<uint8_t>(rights::kRead | rights::kDerive | (options_.pool_writable ? rights::kWrite : 0));
    if (auto handles = Handles::create(hub_, bit_, tomb_bit_))
        handles_ = std::move(*handles);
    else
        return handles.error();
    auto grant = env.cspace.copy<cap::Frame>(own_.frame.address(), rights::kRead | rights::kDerive);
    auto bell = handles_.doorbell(env.cspace), tomb = handles_.tombstone(env.cspace);
    auto peer = env.cspace.empty<cap::Frame>();
    auto peer_bell = env.cspace.empty<cap::Notification>(), peer_tomb = env.cspace.empty<cap::Notification>();
    if (!grant) return grant.error();
    if (!bell) return bell.error();
    if (!tomb) return tomb.error();
    if (!peer || !peer_bell || !peer_tomb) return Status::OutOfMemory;

    abi::IpcBuffer& buffer = cap::ipc_buffer();
    unsigned caps = 3;
    buffer.caps[0] = grant->address();
    buffer.caps[1] = bell->address();
    buffer.caps[2] = tomb->address();
    buffer.move =
        7;  // moved, so that the service's copy is the only one: its tombstone is the service's life
    Expected<cap::Cap<cap::Frame>> pool_grant;
    if (pool_) {
        pool_grant = env.cspace.copy<cap::Frame>(pool_.address(), pool_rights);
        if (!pool_grant) return pool_grant.error();
        buffer.caps[caps] = pool_grant->address();
        buffer.move |= uint64_t{1} << caps++;
    }
    for (CapAddr& slot : buffer.receive_slots) slot = CapAddr{};
    buffer.receive_slots[0] = peer->address();
    buffer.receive_slots[1] = peer_bell->address();
    buffer.receive_slots[2] = peer_tomb->address();

    const auto answer = cap::sys::ipc_call(
        endpoint_,
        {abi::MessageTag{abi::kConnect, 3, caps}, {kVersion, options_.region_bits, options_.pool_bits, 0}});
    if (!answer.ok()) return answer.status;
    if (answer.tag.label() != abi::kConnect) return Status::BadArgument;
    if (answer.w[0] != 0) return static_cast<Status>(answer.w[0]);
    if (answer.tag.caps() < 3 || answer.w[1] < kMinRegionBits || answer.w[1] > kMaxRegionBits)
        return Status::BadArgument;

    auto region =
        PeerRegion::accept(env, std::move(*peer), static_cast<unsigned>(answer.w[1]), abi::map::kRead);
    if (!region) return region.error() == Status::NoCapability ? Status::PeerGone : region.error();
    peer_ = std::move(*region);
    doorbell_ = std::make_unique<NotificationDoorbell>(std::move(*peer_bell), std::move(*peer_tomb));
    channel_ = std::make_unique<Channel>(own_.bytes(), peer_.bytes(), *doorbell_);
    buried_ = false;
    ++generation_;
    return Status::Ok;
}

}  // namespace bulkhead::ring
