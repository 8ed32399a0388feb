// SPDX-License-Identifier: Apache-2.0
// One Notification of one thread, and who owns which of its 63 bits: doorbells of channels, interrupts, anything that can signal.
// A thread has one Hub and waits on it (or, in a service, on its endpoint with the Hub's notification bound).
// Not thread-safe, but signalling its bits from anywhere is what it is for.
#pragma once

#include "lib/cap/environment.hpp"
#include "lib/ring/channel.hpp"

namespace bulkhead::ring {

using cap::Expected;

class Hub {
  public:
    static Expected<Hub> create(cap::Environment& env);

    cap::Environment& env() { return *env_; }
    cap::CapAddr notification() const { return notification_.address(); }

    // A bit of one's own; all 63 taken: bits are shared, round-robin, by those who say they can (doorbells are scanned).
    std::optional<unsigned> take_bit();
    unsigned share_bit();
    void give_bit(unsigned bit);

    // A capability that signals `bit`. Hand it out with rights::kTombstone and its destruction signals as well.
    Expected<cap::Cap<cap::Notification>> mint(unsigned bit, uint8_t rights = abi::rights::kWrite | abi::rights::kDerive);

    // Bits that were signalled; Timeout when the deadline passed first.
    Expected<uint64_t> wait(uint64_t deadline_tsc);

  private:
    Hub(cap::Environment& env, cap::Cap<cap::Notification> notification)
        : env_{&env}, notification_{std::move(notification)} {}

    static constexpr unsigned kBits = 63;
    cap::Environment* env_;
    cap::Cap<cap::Notification> notification_;
    uint16_t users_[kBits] = {};
};

// A doorbell that signals a Notification capability which the peer handed over.
class NotificationDoorbell final : public Doorbell {
  public:
    explicit NotificationDoorbell(cap::Cap<cap::Notification> target) : target_{std::move(target)} {}
    void ring() override { cap::drop(cap::sys::signal(target_.address())); }

  private:
    cap::Cap<cap::Notification> target_;
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
    static Expected<PeerRegion> accept(cap::Environment& env, cap::Cap<cap::Frame> received, unsigned bits, uint64_t flags);
    std::span<const std::byte> bytes() const { return {mapping.data(), mapping.bytes()}; }
    bool alive() const;  // its owner has not taken it back
};

}  // namespace bulkhead::ring
