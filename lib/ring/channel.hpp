// SPDX-License-Identifier: Apache-2.0
// One end of a channel: sends entries into its own region, takes entries out of the peer's. Knows nothing of
// Cap'n Proto (message.hpp) nor of capabilities (hub.hpp, listener.hpp, connection.hpp), so that it runs on
// the host over shared memory.
//
// The peer is hostile. Of its region, only positions and entries are ever read, each word once, through
// peer_access.hpp; this side's own positions are kept in private memory and only ever published. Whatever is
// wrong closes the channel.
//
// Not thread-safe: one thread owns an end. No allocation after the constructor. A message costs its words
// copied in once.
#pragma once

#include <memory>
#include <span>

#include "lib/ring/layout.hpp"

namespace bulkhead::ring {

// How the peer is told that there is something to look at.
class Doorbell {
  public:
    virtual ~Doorbell() = default;
    virtual void ring() = 0;
};

enum class Io : uint32_t {
    Ok = 0,
    Empty = 1,     // nothing to receive
    Full = 2,      // no room now: the doorbell will ring when there is (if asked)
    TooLarge = 3,  // will never fit
    Closed = 4,    // see Channel::reason()
};

class Channel {
  public:
    // `own` is written (its control line is initialised here), `peer` only read. Sizes are 2^12 to 2^21
    // bytes. `doorbell` outlives the channel.
    Channel(std::span<std::byte> own, std::span<const std::byte> peer, Doorbell& doorbell);
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // ---- sending. prepare() gives zeroed, 8-byte aligned words inside the ring; commit() sends the first
    // `words` of them. A prepare() that is not committed is forgotten. Full: the doorbell rings when the peer
    // has made room for it.
    Io prepare(size_t words, std::span<uint64_t>& out);
    void commit(size_t words);
    size_t max_message_words() const { return max_words_; }

    // ---- receiving. The span is a private copy, valid until the next receive().
    Io receive(std::span<uint64_t>& out);
    // Before sleeping: true if there is nothing to do; from then on the doorbell rings for the next entry.
    // While the owner keeps receiving it does not ring.
    bool arm();

    void close(CloseReason why);
    bool open() const { return reason_ == CloseReason::Open; }
    CloseReason reason() const { return reason_; }
    // Reads the peer's control line: false when it closed or is gone, and then the channel is closed.
    bool check_peer();

    uint64_t sent() const { return sent_; }  // entries
    uint64_t received() const { return received_; }

  private:
    Control& own_control() { return *reinterpret_cast<Control*>(own_.data()); }
    const Control& peer_control() const { return *reinterpret_cast<const Control*>(peer_.data()); }
    bool load(const std::atomic<uint64_t>& word, uint64_t& out);
    Io fail(CloseReason why);
    bool refresh_peer_head();
    bool refresh_peer_tail();
    void publish_tail(uint64_t words);
    void publish_head(uint64_t words);

    std::span<std::byte> own_;
    std::span<const std::byte> peer_;
    Doorbell& doorbell_;
    CloseReason reason_ = CloseReason::Open;
    bool started_ = false;  // the peer's magic was seen

    // producer: positions in words
    uint64_t* data_;
    const uint64_t data_words_;
    size_t max_words_;
    uint64_t tail_ = 0, peer_head_ = 0;
    uint64_t offset_ = 0;   // of tail_ in the ring
    uint64_t padding_ = 0;  // words of padding before a prepared entry
    size_t prepared_ = 0;

    // consumer
    const uint64_t* peer_data_;
    const uint64_t peer_words_;
    uint64_t head_ = 0, peer_tail_ = 0;
    uint64_t peer_offset_ = 0;  // of head_ in the peer's ring
    std::unique_ptr<uint64_t[]> copy_;

    uint64_t sent_ = 0, received_ = 0;
};

}  // namespace bulkhead::ring
