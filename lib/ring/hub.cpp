// SPDX-License-Identifier: Apache-2.0
#include "lib/ring/hub.hpp"

#include <algorithm>

#include "lib/ring/peer_access.hpp"
#include "lib/runtime/native_calls.hpp"

namespace bulkhead::ring {

bool register_peer_access() {
    return runtime::register_fixup(bulkhead_peer_access_start, bulkhead_peer_access_end,
                                   bulkhead_peer_access_landing);
}

Expected<Hub> Hub::create(cap::Environment& env) {
    if (!register_peer_access()) return std::unexpected{cap::Status::Unsupported};
    auto notification = env.memory.create<cap::Notification>();
    if (!notification) return std::unexpected{notification.error()};
    return Hub{env, std::move(*notification)};
}

std::optional<unsigned> Hub::take_bit() {
    auto* const free = std::find(std::begin(users_), std::end(users_), 0);
    if (free == std::end(users_)) return std::nullopt;
    *free = 1;
    use_[free - users_] = Use::Bell;
    return static_cast<unsigned>(free - users_);
}

// A free one, else the least used of its kind, else (all bits are of the other kind) the least used of all.
unsigned Hub::share_bit(Use use) {
    const auto rank = [&](unsigned bit) {
        return users_[bit] == 0 ? 0u : (use_[bit] == use ? 0u : 1u << 16) + users_[bit];
    };
    unsigned best = 0;
    for (unsigned bit = 1; bit < kBits; ++bit)
        if (rank(bit) < rank(best)) best = bit;
    if (users_[best]++ == 0) use_[best] = use;
    return best;
}

void Hub::give_bit(unsigned bit) {
    if (bit < kBits && users_[bit]) --users_[bit];
}

Expected<cap::Cap<cap::Notification>> Hub::mint(unsigned bit, uint8_t rights) {
    return env_->cspace.mint<cap::Notification>(notification_.address(), rights, uint64_t{1} << bit);
}

Expected<uint64_t> Hub::wait(uint64_t deadline_tsc) {
    const cap::Result r = cap::sys::wait(notification_.address(), deadline_tsc);
    if (!r.ok()) return std::unexpected{r.status};
    note(r.r0);
    return r.r0;
}

Expected<Handles> Handles::create(Hub& hub, unsigned bell_bit, unsigned tomb_bit) {
    auto bell = hub.mint(bell_bit), tomb = hub.mint(tomb_bit);
    if (!bell) return std::unexpected{bell.error()};
    if (!tomb) return std::unexpected{tomb.error()};
    Handles made;
    made.bell_ = std::move(*bell);
    made.tomb_ = std::move(*tomb);
    return made;
}

void Handles::take_back() {
    for (auto* handle : {&bell_, &tomb_})
        if (*handle) cap::drop(cap::sys::cap_revoke(handle->address()));
}

Expected<OwnRegion> OwnRegion::create(cap::Environment& env, unsigned bits) {
    auto frame = env.memory.create<cap::Frame>(bits);
    if (!frame) return std::unexpected{frame.error()};
    auto mapping = env.mapper.map(frame->address(), bits, abi::map::kRead | abi::map::kWrite);
    if (!mapping) return std::unexpected{mapping.error()};
    return OwnRegion{std::move(*frame), std::move(*mapping)};
}

Expected<PeerRegion> PeerRegion::accept(cap::Environment& env, cap::Cap<cap::Frame> received, unsigned bits,
                                        uint64_t flags) {
    const auto id = cap::sys::cap_identify(received.address());
    if (!id.ok()) return std::unexpected{id.status};
    if (id.type != cap::ObjectType::Frame) return std::unexpected{cap::Status::WrongType};
    if (id.size_bits != bits) return std::unexpected{cap::Status::BadArgument};
    auto mapping = env.mapper.map(received.address(), bits, flags);
    if (!mapping) return std::unexpected{mapping.error()};
    return PeerRegion{std::move(received), std::move(*mapping)};
}

bool PeerRegion::alive() const {
    return cap::sys::cap_identify(frame.address()).ok();
}

}  // namespace bulkhead::ring
