// SPDX-License-Identifier: Apache-2.0
#include "lib/ring/connection.hpp"

#include "abi/start.hpp"

namespace bulkhead::ring {

namespace rights = abi::rights;
using cap::CapAddr;
using cap::Status;

Connection::Connection(Hub& hub, CapAddr connect_endpoint, ConnectOptions options)
    : hub_{hub}, endpoint_{connect_endpoint}, options_{options}, bit_{hub.share_bit()} {}

Connection::~Connection() {
    disconnect();
    hub_.give_bit(bit_);
}

// The channel first (it closes politely), then what it was made of: the frames' end revokes every copy of them.
void Connection::disconnect() {
    if (channel_) channel_->close(CloseReason::Requested);
    channel_.reset();
    doorbell_.reset();
    peer_ = {};
    own_ = {};
    pool_map_ = {};
    pool_ = {};
}

bool Connection::lost() {
    if (!channel_) return false;
    if (channel_->open() && !peer_.alive()) channel_->close(CloseReason::PeerGone);
    return !channel_->open();
}

Status Connection::connect() {
    for (;;) {
        const Status status = try_connect();
        if (status == Status::Ok) return status;
        disconnect();
        // The service died with our call in its hands, or died between its answer and now: the next instance will take it.
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

    // Sent capabilities are copied: what the service gets are children of these, and these go when this function returns.
    const uint8_t pool_rights =
        static_cast<uint8_t>(rights::kRead | rights::kDerive | (options_.pool_writable ? rights::kWrite : 0));
    auto grant = env.cspace.copy<cap::Frame>(own_.frame.address(), rights::kRead | rights::kDerive);
    auto bell = hub_.mint(bit_, rights::kWrite | rights::kTombstone | rights::kDerive);
    auto peer = env.cspace.empty<cap::Frame>();
    auto peer_bell = env.cspace.empty<cap::Notification>();
    if (!grant) return grant.error();
    if (!bell) return bell.error();
    if (!peer || !peer_bell) return Status::OutOfMemory;

    abi::IpcBuffer& buffer = cap::ipc_buffer();
    unsigned caps = 2;
    buffer.caps[0] = grant->address();
    buffer.caps[1] = bell->address();
    buffer.move = 3;  // moved, so that the service's copy is the only one: its tombstone is the service's life
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

    const auto answer = cap::sys::ipc_call(
        endpoint_, {abi::MessageTag{abi::kConnect, 3, caps}, {kVersion, options_.region_bits, options_.pool_bits, 0}});
    if (!answer.ok()) return answer.status;
    if (answer.tag.label() != abi::kConnect) return Status::BadArgument;
    if (answer.w[0] != 0) return static_cast<Status>(answer.w[0]);
    if (answer.tag.caps() < 2 || answer.w[1] < kMinRegionBits || answer.w[1] > kMaxRegionBits) return Status::BadArgument;

    auto region = PeerRegion::accept(env, std::move(*peer), static_cast<unsigned>(answer.w[1]), abi::map::kRead);
    if (!region) return region.error() == Status::NoCapability ? Status::PeerGone : region.error();
    peer_ = std::move(*region);
    doorbell_ = std::make_unique<NotificationDoorbell>(std::move(*peer_bell));
    channel_ = std::make_unique<Channel>(own_.bytes(), peer_.bytes(), *doorbell_);
    ++generation_;
    return Status::Ok;
}

}  // namespace bulkhead::ring
