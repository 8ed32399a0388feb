// SPDX-License-Identifier: Apache-2.0
// Cap'n Proto over a Channel: one message is one segment, built in place in the ring and read from a private
// copy, with limits. Exceptions of capnp/kj end here: a message that does not fit or does not parse is an Io
// value.
//
//     ring::send<console::ToService>(channel, 16, [&](auto message) { message.initLog().setRead(…); });
//     ring::receive<console::ToClient>(channel, [&](auto message) { …; return true; });
#pragma once

#include <capnp/message.h>
#include <kj/exception.h>

#include "lib/ring/channel.hpp"

namespace bulkhead::ring {

// A message of exactly one segment, in memory that is somebody else's and zeroed. Asking for a second segment
// throws.
class OneSegmentBuilder final : public capnp::MessageBuilder {
  public:
    explicit OneSegmentBuilder(std::span<uint64_t> words) : words_{words} {}
    kj::ArrayPtr<capnp::word> allocateSegment(unsigned minimum) override;
    size_t used_words();

  private:
    std::span<uint64_t> words_;
    bool given_ = false;
};

capnp::ReaderOptions reader_options(size_t words);

// Builds a message of at most `max_words` and sends it. `fill` gets the root builder.
// Full and TooLarge send nothing; TooLarge also when `fill` needed more than it said.
template <typename Root, typename Fill>
Io send(Channel& channel, size_t max_words, Fill&& fill) {
    std::span<uint64_t> words;
    if (const Io status = channel.prepare(max_words, words); status != Io::Ok) return status;
    try {
        OneSegmentBuilder builder{words};
        fill(builder.initRoot<Root>());
        channel.commit(builder.used_words());
    } catch (const kj::Exception&) {
        return Io::TooLarge;
    }
    return channel.open() ? Io::Ok : Io::Closed;
}

// Hands the root reader of received words to `handle`, which returns false to refuse the message. A refused
// or malformed message closes the channel. (Listener hands out such words.)
template <typename Root, typename Handle>
Io parse(Channel& channel, std::span<const uint64_t> words, Handle&& handle) {
    try {
        const kj::ArrayPtr<const capnp::word> segment{reinterpret_cast<const capnp::word*>(words.data()),
                                                      words.size()};
        const kj::ArrayPtr<const capnp::word> segments[1] = {segment};
        capnp::SegmentArrayMessageReader reader{segments, reader_options(words.size())};
        if (handle(reader.getRoot<Root>())) return Io::Ok;
        channel.close(CloseReason::Refused);
    } catch (const kj::Exception&) {
        channel.close(CloseReason::BadMessage);
    }
    return Io::Closed;
}

// The same for the next message of the channel.
template <typename Root, typename Handle>
Io receive(Channel& channel, Handle&& handle) {
    std::span<uint64_t> words;
    if (const Io status = channel.receive(words); status != Io::Ok) return status;
    return parse<Root>(channel, words, handle);
}

}  // namespace bulkhead::ring
