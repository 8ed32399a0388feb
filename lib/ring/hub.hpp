// SPDX-License-Identifier: Apache-2.0
// One Notification of one thread, and who owns which of its 63 bits: doorbells of channels, interrupts,
// anything that can signal. A thread has one Hub and waits on it (or, in a service, on its endpoint with the
// Hub's notification bound). Not thread-safe (but a Connection may connect in another thread); signalling its
// bits from anywhere is what it is for.
#pragma once

#include <atomic>
#include <memory>

#include "lib/cap/environment.hpp"
#include "lib/ring/channel.hpp"

namespace bulkhead::ring {

using cap::Expected;

class Hub {
  public:
    static Expected<Hub> create(cap::Environment& env);

    cap::Environment& env() { return *env_; }
    cap::CapAddr notification() const { return notification_.address(); }

    // A bit of one's own; all 63 taken: bits are shared, round-robin, by those who say they can (doorbells
    // are scanned). A tombstone shares with tombstones only: a bell that also rang the dead would make its
    // sharers look for a death at every message.
    enum class Use : uint8_t { Nothing, Bell, Tomb };
    std::optional<unsigned> take_bit();
    unsigned share_bit(Use use = Use::Bell);
    void give_bit(unsigned bit);

    // A capability that signals `bit`.
    Expected<cap::Cap<cap::Notification>> mint(unsigned bit,
                                               uint8_t rights = abi::rights::kWrite | abi::rights::kDerive);

    // How many use the bit.
    unsigned users(unsigned bit) const { return users_[bit]; }

    // Bits that were signalled; Timeout when the deadline passed first.
    Expected<uint64_t> wait(uint64_t deadline_tsc);
    // For whoever waits on the notification in another way: what came.
    void note(uint64_t bits) { seen_->fetch_or(bits, std::memory_order_relaxed); }
    // Was the bit signalled since this was last asked? (That of a tombstone: a doorbell's is of no interest
    // later.)
    bool take_seen(unsigned bit) {
        const uint64_t mask = uint64_t{1} << bit;
        return (seen_->fetch_and(~mask, std::memory_order_relaxed) & mask) != 0;
    }

  private:
    Hub(cap::Environment& env, cap::Cap<cap::Notification> notification)
        : env_{&env},
          notification_{std::move(notification)},
          seen_{std::make_unique<std::atomic<uint64_t>>(0)} {}

    static constexpr unsigned kBits = 63;
    cap::Environment* env_;
    cap::Cap<cap::Notification> notification_;
    std::unique_ptr<std::atomic<uint64_t>> seen_;
    uint16_t users_[kBits] = {};
    Use use_[kBits] = {};  // of bits that have users
};

// Capabilities that this side hands to the peer, by which the peer reaches it: a doorbell that can only be
// signalled, and a tombstone that can only die. Both are children of capabilities that stay here, so they can
// be taken back.
class Handles {
  public:
    static Expected<Handles> create(Hub& hub, unsigned bell_bit, unsigned tomb_bit);
    Handles() = default;
    Handles(Handles&&) = default;
    Handles& operator=(Handles&& other) noexcept {
        take_back();
        bell_ = std::move(other.bell_);
        tomb_ = std::move(other.tomb_);
        return *this;
    }
    ~Handles() { take_back(); }

    // What the peer gets, to be moved into a message.
    Expected<cap::Cap<cap::Notification>> doorbell(cap::CSpace& cspace) {
        return cspace.copy<cap::Notification>(bell_.address(), abi::rights::kWrite);
    }
    Expected<cap::Cap<cap::Notification>> tombstone(cap::CSpace& cspace) {
        return cspace.copy<cap::Notification>(tomb_.address(), abi::rights::kTombstone);
    }
    void take_back();
    explicit operator bool() const { return static_cast<bool>(tomb_); }

  private:
    cap::Cap<cap::Notification> bell_, tomb_;
};

// A doorbell that signals a Notification capability which the peer handed over, and the peer's tombstone:
// held, never used.
class NotificationDoorbell final : public Doorbell {
  public:
    NotificationDoorbell(cap::Cap<cap::Notification> target, cap::Cap<cap::Notification> tombstone)
        : target_{std::move(target)}, tombstone_{std::move(tombstone)} {}
    void ring() override { cap::drop(cap::sys::signal(target_.address())); }

  private:
    cap::Cap<cap::Notification> target_, tombstone_;
};

// One side's memory: a Frame that is ours, mapped writable, and what the peer granted us, mapped read-only.
struct OwnRegion {
    cap::Cap<cap::Frame> frame;
    cap::Mapping mapping;
    static Expected<OwnRegion> create(cap::Environment& env, unsigned bits);
    std::span<std::byte> bytes() const { return {mapping.data(), mapping.bytes()}; }
};
struct PeerRegion {
    cap::Cap<cap::Frame> frame;
    cap::Mapping mapping;
    // Takes what was received in `slot`: refused unless it is a readable Frame of 2^bits bytes.
    static Expected<PeerRegion> accept(cap::Environment& env, cap::Cap<cap::Frame> received, unsigned bits,
                                       uint64_t flags);
    std::span<const std::byte> bytes() const { return {mapping.data(), mapping.bytes()}; }
    bool alive() const;  // its owner has not taken it back
};

}  // namespace bulkhead::ring
