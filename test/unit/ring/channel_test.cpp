// SPDX-License-Identifier: Apache-2.0
// Channel between two honest ends: order, wrapping, back-pressure, doorbells, and that nobody sleeps through
// a message.
#include "lib/ring/channel.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "test/unit/ring/shared_memory.hpp"

using namespace bulkhead::ring;
using namespace ring_test;

namespace {

struct Pair {
    explicit Pair(size_t bytes = 4096)
        : left_region{bytes},
          right_region{bytes},
          left{left_region.own(), right_region.granted(), to_right},
          right{right_region.own(), left_region.granted(), to_left} {}
    Region left_region, right_region;
    CountingBell to_right, to_left;
    Channel left, right;
};

Io send(Channel& channel, size_t words, uint64_t value) {
    std::span<uint64_t> out;
    if (const Io io = channel.prepare(words, out); io != Io::Ok) return io;
    for (const uint64_t word : out)
        if (word != 0) return Io::Closed;  // what was prepared must be zeroed
    for (size_t i = 0; i < words; ++i) out[i] = value + i;
    channel.commit(words);
    return Io::Ok;
}

bool matches(std::span<const uint64_t> words, size_t count, uint64_t value) {
    if (words.size() != count) return false;
    for (size_t i = 0; i < count; ++i)
        if (words[i] != value + i) return false;
    return true;
}

}  // namespace

TEST_CASE("entries arrive whole, in order, in both directions") {
    Pair p;
    std::span<uint64_t> got;
    CHECK(p.left.receive(got) == Io::Empty);
    REQUIRE(send(p.left, 3, 100) == Io::Ok);
    REQUIRE(send(p.left, 1, 200) == Io::Ok);
    REQUIRE(send(p.right, 7, 300) == Io::Ok);
    REQUIRE(p.right.receive(got) == Io::Ok);
    CHECK(matches(got, 3, 100));
    REQUIRE(p.right.receive(got) == Io::Ok);
    CHECK(matches(got, 1, 200));
    CHECK(p.right.receive(got) == Io::Empty);
    REQUIRE(p.left.receive(got) == Io::Ok);
    CHECK(matches(got, 7, 300));
}

TEST_CASE("entries of every size wrap around without a seam") {
    Pair p;
    std::mt19937 random{1};
    for (uint64_t n = 0; n < 20000; ++n) {
        const size_t words = 1 + random() % p.left.max_message_words();
        REQUIRE(send(p.left, words, n) == Io::Ok);
        std::span<uint64_t> got;
        REQUIRE(p.right.receive(got) == Io::Ok);
        REQUIRE(matches(got, words, n));
    }
    std::span<uint64_t> out;
    CHECK(p.left.prepare(p.left.max_message_words() + 1, out) == Io::TooLarge);
    CHECK(p.left.prepare(0, out) == Io::TooLarge);
}

TEST_CASE("a full ring is back-pressure: the peer rings when it made room, and only then") {
    Pair p;
    unsigned sent = 0;
    while (send(p.left, 20, sent) == Io::Ok) ++sent;
    CHECK(p.left.open());
    CHECK(sent >= 20);
    const unsigned rings = p.to_left.rings;
    std::span<uint64_t> got;
    REQUIRE(p.right.receive(got) == Io::Ok);
    CHECK(matches(got, 20, 0));
    unsigned received = 1;
    while (p.right.receive(got) == Io::Ok) CHECK(matches(got, 20, received++));
    CHECK(received == sent);
    CHECK(p.to_left.rings == rings + 1);
    CHECK(send(p.left, 20, 0) == Io::Ok);
}

TEST_CASE("a polling consumer is not rung, a sleeping one once") {
    Pair p;
    REQUIRE(send(p.left, 1, 0) == Io::Ok);
    CHECK(p.to_right.rings == 1);  // a new consumer sleeps
    REQUIRE(send(p.left, 1, 1) == Io::Ok);
    CHECK(p.to_right.rings == 1);
    CHECK_FALSE(p.right.arm());  // there is something to do
    std::span<uint64_t> got;
    while (p.right.receive(got) == Io::Ok) {
    }
    REQUIRE(send(p.left, 1, 2) == Io::Ok);
    CHECK(p.to_right.rings == 1);  // polling
    while (p.right.receive(got) == Io::Ok) {
    }
    CHECK(p.right.arm());
    REQUIRE(send(p.left, 1, 3) == Io::Ok);
    REQUIRE(send(p.left, 1, 4) == Io::Ok);
    CHECK(p.to_right.rings == 2);
}

TEST_CASE("an uncommitted entry is forgotten") {
    Pair p;
    std::span<uint64_t> out, got;
    REQUIRE(p.left.prepare(5, out) == Io::Ok);
    out[0] = 99;
    REQUIRE(send(p.left, 2, 7) == Io::Ok);
    REQUIRE(p.right.receive(got) == Io::Ok);
    CHECK(matches(got, 2, 7));
}

TEST_CASE("closing is seen by the peer, once what was sent is read") {
    Pair p;
    std::span<uint64_t> got;
    REQUIRE(send(p.left, 2, 1) == Io::Ok);
    p.left.close(CloseReason::Requested);
    CHECK(p.to_right.rings == 2);
    CHECK(p.right.receive(got) == Io::Ok);
    CHECK(p.right.receive(got) == Io::Closed);
    CHECK(p.right.reason() == CloseReason::PeerClosed);
    CHECK(send(p.right, 1, 1) == Io::Closed);
}

TEST_CASE("two threads that sleep whenever they can lose nothing") {
    constexpr uint64_t kMessages = 100000;
    Region left_region{4096}, right_region{4096};
    SleepingBell to_right, to_left;
    Channel left{left_region.own(), right_region.granted(), to_right};
    Channel right{right_region.own(), left_region.granted(), to_left};
    std::thread consumer{[&] {
        std::span<uint64_t> got;
        for (uint64_t next = 0; next < kMessages;) {
            const Io io = right.receive(got);
            if (io == Io::Closed || (io == Io::Ok && !matches(got, 1 + next % 37, next))) {
                right.close(CloseReason::Refused);
                return;
            }
            if (io == Io::Ok)
                ++next;
            else if (right.arm())
                to_right.wait();
        }
    }};
    for (uint64_t n = 0; n < kMessages && left.open();) {
        const Io io = send(left, 1 + n % 37, n);
        if (io == Io::Ok)
            ++n;
        else if (io == Io::Full)
            to_left.wait();
        else
            break;
    }
    consumer.join();
    CHECK(right.received() == kMessages);
    CHECK(left.reason() == CloseReason::Open);
    CHECK(right.reason() == CloseReason::Open);
}
