// SPDX-License-Identifier: Apache-2.0
#include "lib/ring/listener.hpp"

#include <algorithm>

#include "abi/start.hpp"

namespace bulkhead::ring {

namespace rights = abi::rights;
using cap::CapAddr;
using cap::Status;

Listener::Listener(Hub& hub, CapAddr accept, Service& service, ListenOptions options, CapAddr thread)
    : hub_{hub},
      accept_{accept},
      service_{service},
      options_{options},
      tomb_bit_{hub.share_bit(Hub::Use::Tomb)} {
    bound_ = cap::sys::thread_set(thread, abi::ThreadSlot::BoundNotification, hub.notification());
    auto reply = hub.env().memory.create<cap::Reply>();
    if (reply)
        reply_ = std::move(*reply);
    else
        bound_ = reply.error();
}

Listener::~Listener() {
    for (Client& client : clients_) client.channel_->close(CloseReason::Requested);
    sweep();
    hub_.give_bit(tomb_bit_);
}

Client* Listener::find(uint64_t badge) {
    const auto found = std::find_if(clients_.begin(), clients_.end(),
                                    [&](const Client& c) { return c.badge_ == badge && c.channel_->open(); });
    return found == clients_.end() ? nullptr : &*found;
}

void Listener::disconnect(Client& client, CloseReason why) {
    client.channel_->close(why);
}

// ---- accepting -------------------------------------------------------------------------------------------

void Listener::answer(Status status, uint64_t region_bits, CapAddr region, CapAddr doorbell,
                      CapAddr tombstone) {
    abi::IpcBuffer& buffer = cap::ipc_buffer();
    const unsigned caps = status == Status::Ok ? 3 : 0;
    buffer.caps[0] = region;
    buffer.caps[1] = doorbell;
    buffer.caps[2] = tombstone;
    buffer.move = 7;
    cap::drop(cap::sys::ipc_reply(reply_.address(), {abi::MessageTag{abi::kConnect, 2, caps},
                                                     {static_cast<uint64_t>(status), region_bits, 0, 0}}));
}

// Every received capability is checked by type and size before use; whatever is left over ends with its
// handle.
Expected<Client*> Listener::open_client(uint64_t badge, const cap::IpcResult& request) {
    cap::Environment& env = hub_.env();
    const uint64_t region_bits = request.w[1], pool_bits = request.w[2];
    const unsigned received = request.tag.caps();
    if (request.tag.label() != abi::kConnect || request.w[0] != kVersion)
        return std::unexpected{Status::Unsupported};
    if (received < 3 || region_bits < kMinRegionBits ||
        region_bits > std::min(options_.max_region_bits, kMaxRegionBits))
        return std::unexpected{Status::BadArgument};
    if (pool_bits && (received < 4 || pool_bits > options_.max_pool_bits))
        return std::unexpected{Status::BadArgument};
    if (Client* former = find(badge)) {
        former->channel_->close(CloseReason::Requested);
        sweep();
    }
    if (clients_.size() >= options_.max_clients) return std::unexpected{Status::OutOfMemory};

    const unsigned bits = static_cast<unsigned>(region_bits);
    auto peer = PeerRegion::accept(env, std::move(incoming_region_), bits, abi::map::kRead);
    if (!peer) return std::unexpected{peer.error()};
    const auto bell = cap::sys::cap_identify(incoming_bell_.address());
    if (!bell.ok() || bell.type != cap::ObjectType::Notification) return std::unexpected{Status::WrongType};
    PeerRegion pool;
    bool writable = false;
    if (pool_bits) {
        writable = (cap::sys::cap_identify(incoming_pool_.address()).rights & rights::kWrite) != 0;
        auto accepted = PeerRegion::accept(env, std::move(incoming_pool_), static_cast<unsigned>(pool_bits),
                                           writable ? abi::map::kRead | abi::map::kWrite : abi::map::kRead);
        if (!accepted) return std::unexpected{accepted.error()};
        pool = std::move(*accepted);
    }
    auto own = OwnRegion::create(env, bits);
    if (!own) return std::unexpected{own.error()};
    const unsigned bit = hub_.share_bit();
    auto handles = Handles::create(hub_, bit, tomb_bit_);
    if (!handles) {
        hub_.give_bit(bit);
        return std::unexpected{handles.error()};
    }

    Client& client = clients_.emplace_back();
    client.badge_ = badge;
    client.bit_ = bit;
    client.handles_ = std::move(*handles);
    client.own_ = std::move(*own);
    client.peer_ = std::move(*peer);
    client.pool_region_ = std::move(pool);
    if (pool_bits) client.pool_ = {client.pool_region_.mapping.data(), client.pool_region_.mapping.bytes()};
    client.pool_writable_ = writable;
    client.doorbell_ =
        std::make_unique<NotificationDoorbell>(std::move(incoming_bell_), std::move(incoming_tomb_));
    client.channel_ = std::make_unique<Channel>(client.own_.bytes(), client.peer_.bytes(), *client.doorbell_);
    return &client;
}

void Listener::accept_client(uint64_t badge, const cap::IpcResult& request) {
    const auto opened = open_client(badge, request);
    if (!opened) return answer(opened.error(), 0, CapAddr{}, CapAddr{}, CapAddr{});
    Client& client = **opened;
    cap::Environment& env = hub_.env();
    auto grant = env.cspace.copy<cap::Frame>(client.own_.frame.address(), rights::kRead | rights::kDerive);
    auto bell = client.handles_.doorbell(env.cspace), tomb = client.handles_.tombstone(env.cspace);
    const bool complete = grant && bell && tomb;
    if (!complete || !service_.connected(client)) {
        client.channel_->close(CloseReason::Refused);
        return answer(complete ? Status::NoRights : Status::OutOfMemory, 0, CapAddr{}, CapAddr{}, CapAddr{});
    }
    answer(Status::Ok, request.w[1], grant->address(), bell->address(), tomb->address());
}

// Slots for what the next connect brings. Whatever the last one left in them is deleted.
bool Listener::prepare_receive() {
    cap::CSpace& cspace = hub_.env().cspace;
    const auto renew = [&](auto& handle, auto made) {
        if (made) handle = std::move(*made);
        return made.has_value();
    };
    if (fresh_) return true;
    incoming_region_ = {};
    incoming_bell_ = {};
    incoming_tomb_ = {};
    incoming_pool_ = {};
    fresh_ = renew(incoming_region_, cspace.empty<cap::Frame>()) &&
             renew(incoming_bell_, cspace.empty<cap::Notification>()) &&
             renew(incoming_tomb_, cspace.empty<cap::Notification>()) &&
             renew(incoming_pool_, cspace.empty<cap::Frame>());
    return fresh_;
}

// ---- turns -----------------------------------------------------------------------------------------------

Status Listener::turn(uint64_t deadline_tsc) {
    if (bound_ != Status::Ok) return bound_;
    const bool can_accept = prepare_receive();
    abi::IpcBuffer& buffer = cap::ipc_buffer();
    buffer.receive_slots[0] = can_accept ? incoming_region_.address() : CapAddr{};
    buffer.receive_slots[1] = can_accept ? incoming_bell_.address() : CapAddr{};
    buffer.receive_slots[2] = can_accept ? incoming_tomb_.address() : CapAddr{};
    buffer.receive_slots[3] = can_accept ? incoming_pool_.address() : CapAddr{};
    const uint64_t until = more_ ? abi::kDeadlinePoll : std::min(deadline_tsc, look_at_);
    const auto got = cap::sys::ipc_recv(accept_, reply_.address(), until);
    uint64_t bits = 0;
    if (got.status == Status::Ok) {
        fresh_ = false;
        accept_client(got.badge, got);
    } else if (got.status == Status::Notified) {
        bits = got.w[0];
        hub_.note(bits);
    } else if (got.status != Status::Timeout || (!more_ && until == deadline_tsc)) {
        return got.status;
    }
    look_for_the_dead(((bits >> tomb_bit_) & 1) != 0);
    if (const uint64_t others = bits & ~doorbells() & ~(uint64_t{1} << tomb_bit_)) service_.signalled(others);
    more_ = false;
    for (Client& client : clients_) {
        const bool rang = ((bits >> client.bit_) & 1) != 0;
        if (rang || client.more_ || !client.pending_.empty()) serve(client, rang);
    }
    sweep();
    if (clients_.size() > 1)
        clients_.splice(clients_.end(), clients_, clients_.begin());  // nobody is always first
    return Status::Ok;
}

uint64_t Listener::doorbells() const {
    uint64_t bits = 0;
    for (const Client& client : clients_) bits |= uint64_t{1} << client.bit_;
    return bits;
}

void Listener::serve(Client& client, bool rang) {
    Channel& channel = *client.channel_;
    if (rang && channel.open()) service_.room(client);
    client.more_ = false;
    for (unsigned n = 0; channel.open(); ++n) {
        if (n == options_.messages_per_turn) {
            client.more_ = more_ = true;
            return;
        }
        if (client.pending_.empty()) {
            std::span<uint64_t> words;
            if (channel.receive(words) != Io::Ok) {
                if (!channel.open() || channel.arm()) break;
                continue;
            }
            client.pending_ = words;
        }
        if (!service_.message(client, client.pending_)) return;  // no room: it comes again
        client.pending_ = {};
    }
}

// A tombstone's bit says that a client died, not which; its region's end says which, a moment later. So the
// regions are looked at now and, ever less often, for a second. A client that nobody finds that way is found
// when its region is next read.
void Listener::look_for_the_dead(bool rung) {
    constexpr uint64_t kFirst = 1000, kLast = 512'000;
    if (rung)
        suspect_us_ = kFirst;
    else if (look_at_ > cap::read_tsc())
        return;
    for (Client& client : clients_)
        if (client.channel_->open() && !client.peer_.alive()) client.channel_->close(CloseReason::PeerGone);
    const bool again = suspect_us_ <= kLast && !clients_.empty();
    look_at_ = again ? hub_.env().clock.deadline_in_us(suspect_us_) : abi::kDeadlineNever;
    suspect_us_ *= 2;
}

void Listener::sweep() {
    for (auto it = clients_.begin(); it != clients_.end();) {
        if (it->channel_->open()) {
            ++it;
            continue;
        }
        service_.disconnected(*it, it->channel_->reason());
        hub_.give_bit(it->bit_);
        it = clients_.erase(it);
    }
}

}  // namespace bulkhead::ring
