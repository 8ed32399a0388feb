// SPDX-License-Identifier: Apache-2.0
#include "lib/ring/channel.hpp"

#include <algorithm>

#include "lib/ring/peer_access.hpp"

namespace bulkhead::ring {

const char* describe(CloseReason why) {
    switch (why) {
        case CloseReason::Open: return "it is open";
        case CloseReason::Requested: return "this side closed it";
        case CloseReason::PeerClosed: return "the peer closed it";
        case CloseReason::PeerGone: return "the peer is gone";
        case CloseReason::BadRegion: return "the peer's region is malformed";
        case CloseReason::BadIndex: return "the peer published an impossible position";
        case CloseReason::BadEntry: return "the peer sent a malformed entry";
        case CloseReason::BadMessage: return "the peer sent a malformed message";
        case CloseReason::Refused: return "the peer asked for what it must not";
    }
    return "unknown reason";
}

static constexpr uint64_t data_words_of(size_t region_bytes) {
    return (region_bytes - kDataOffset) / sizeof(uint64_t);
}

// Did a position that moved from `before` to `after` pass `at`? The peer chooses `at`: any answer is safe.
static constexpr bool passed(uint64_t at, uint64_t before, uint64_t after) {
    return after - at - 1 < after - before;
}

Channel::Channel(std::span<std::byte> own, std::span<const std::byte> peer, Doorbell& doorbell)
    : own_{own},
      peer_{peer},
      doorbell_{doorbell},
      data_{reinterpret_cast<uint64_t*>(own.data() + kDataOffset)},
      data_words_{data_words_of(own.size())},
      max_words_{data_words_ / 2 - 1},  // then padding and entry always fit into an empty ring
      peer_data_{reinterpret_cast<const uint64_t*>(peer.data() + kDataOffset)},
      peer_words_{data_words_of(peer.size())},
      copy_{std::make_unique<uint64_t[]>(peer_words_ / 2)} {
    Control& control = own_control();
    for (auto* word : {&control.tail, &control.head, &control.wake_at, &control.space_at, &control.closed})
        word->store(0, std::memory_order_relaxed);
    control.space_at.store(~uint64_t{0}, std::memory_order_relaxed);  // not waiting for room
    control.data_words.store(data_words_, std::memory_order_relaxed);
    control.magic.store(kMagic, std::memory_order_release);
}

Io Channel::fail(CloseReason why) {
    close(why);
    return Io::Closed;
}

void Channel::close(CloseReason why) {
    if (!open()) return;
    reason_ = why;
    own_control().closed.store(static_cast<uint64_t>(why), std::memory_order_release);
    if (why != CloseReason::PeerGone) doorbell_.ring();
}

bool Channel::load(const std::atomic<uint64_t>& word, uint64_t& out) {
    if (load_index(&word, out)) return true;
    close(CloseReason::PeerGone);
    return false;
}

bool Channel::check_peer() {
    uint64_t closed = 0;
    if (!open() || !load(peer_control().closed, closed)) return false;
    if (closed == 0) return true;
    close(CloseReason::PeerClosed);
    return false;
}

// ---- sending ---------------------------------------------------------------------------------------------

bool Channel::refresh_peer_head() {
    uint64_t head = 0;
    if (!load(peer_control().head, head)) return false;
    if (head - peer_head_ > tail_ - peer_head_) {
        close(CloseReason::BadIndex);
        return false;
    }
    peer_head_ = head;
    return true;
}

Io Channel::prepare(size_t words, std::span<uint64_t>& out) {
    if (!open()) return Io::Closed;
    if (words == 0 || words > max_words_) return Io::TooLarge;
    const uint64_t need = words + 1;
    const uint64_t to_end = data_words_ - offset_;
    const uint64_t padding = to_end < need ? to_end : 0;
    const auto room = [&] { return data_words_ - (tail_ - peer_head_) >= padding + need; };
    if (!room()) {
        if (!refresh_peer_head()) return Io::Closed;
        if (!room()) {
            // Ask to be rung, then look once more: the peer may have moved between the two.
            const uint64_t wanted = tail_ + padding + need - data_words_;
            own_control().space_at.store(wanted - 1, std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_seq_cst);
            if (!refresh_peer_head()) return Io::Closed;
            if (!room()) return check_peer() ? Io::Full : Io::Closed;
        }
    }
    padding_ = padding;
    prepared_ = words;
    uint64_t* entry = data_ + (padding ? 0 : offset_);
    std::fill_n(entry + 1, words, uint64_t{0});
    out = {entry + 1, words};
    return Io::Ok;
}

void Channel::publish_tail(uint64_t words) {
    const uint64_t before = tail_;
    tail_ += words;
    own_control().tail.store(tail_, std::memory_order_release);
    std::atomic_thread_fence(
        std::memory_order_seq_cst);  // the peer arms, then looks at tail; we move tail, then look
    uint64_t at = 0;
    if (load(peer_control().wake_at, at) && passed(at, before, tail_)) doorbell_.ring();
}

void Channel::commit(size_t words) {
    if (!open() || words == 0 || words > prepared_) return;
    if (padding_) {
        data_[offset_] = entry_header(EntryKind::Padding, static_cast<uint32_t>(padding_ - 1));
        offset_ = 0;
    }
    data_[offset_] = entry_header(EntryKind::Message, static_cast<uint32_t>(words));
    offset_ += words + 1;
    if (offset_ == data_words_) offset_ = 0;
    prepared_ = 0;
    ++sent_;
    publish_tail(padding_ + words + 1);
}

// ---- receiving -------------------------------------------------------------------------------------------

bool Channel::refresh_peer_tail() {
    if (!started_) {
        uint64_t magic = 0, words = 0;
        if (!load(peer_control().magic, magic) || !load(peer_control().data_words, words)) return false;
        if (magic == 0) return true;  // the peer has not come so far yet
        if (magic != kMagic || words != peer_words_) {
            close(CloseReason::BadRegion);
            return false;
        }
        started_ = true;
    }
    uint64_t tail = 0;
    if (!load(peer_control().tail, tail)) return false;
    if (tail - head_ > peer_words_ || tail - head_ < peer_tail_ - head_) {
        close(CloseReason::BadIndex);
        return false;
    }
    peer_tail_ = tail;
    return true;
}

void Channel::publish_head(uint64_t words) {
    const uint64_t before = head_;
    head_ += words;
    peer_offset_ += words;
    if (peer_offset_ == peer_words_) peer_offset_ = 0;
    own_control().head.store(head_, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint64_t at = 0;
    if (load(peer_control().space_at, at) && passed(at, before, head_)) doorbell_.ring();
}

Io Channel::receive(std::span<uint64_t>& out) {
    if (!open()) return Io::Closed;
    for (int paddings = 0;; ++paddings) {
        if (head_ == peer_tail_) {
            if (!refresh_peer_tail()) return Io::Closed;
            if (head_ == peer_tail_) return check_peer() ? Io::Empty : Io::Closed;
        }
        const uint64_t available = peer_tail_ - head_, to_end = peer_words_ - peer_offset_;
        uint64_t header = 0;
        if (!load_index(peer_data_ + peer_offset_, header)) return fail(CloseReason::PeerGone);
        const uint64_t words = header & 0xffff'ffff;
        const uint64_t kind = header >> 32;
        if (words + 1 > std::min(available, to_end)) return fail(CloseReason::BadEntry);
        if (kind == static_cast<uint64_t>(EntryKind::Padding)) {
            if (words + 1 != to_end || paddings > 0) return fail(CloseReason::BadEntry);
            publish_head(to_end);
            if (!open()) return Io::Closed;
            continue;
        }
        if (kind != static_cast<uint64_t>(EntryKind::Message) || words == 0 || words > peer_words_ / 2)
            return fail(CloseReason::BadEntry);
        if (!copy_in(copy_.get(), peer_data_ + peer_offset_ + 1, words)) return fail(CloseReason::PeerGone);
        out = {copy_.get(), words};
        ++received_;
        publish_head(words + 1);
        return Io::Ok;  // even if the peer vanished just now: the message is whole
    }
}

bool Channel::arm() {
    if (!open()) return true;
    own_control().wake_at.store(head_, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return !refresh_peer_tail() || head_ == peer_tail_;
}

}  // namespace bulkhead::ring
