// SPDX-License-Identifier: Apache-2.0
// A peer that lies, changes what is being read, vanishes, or is stopped at any instruction. Whatever it does,
// this side gets whole messages or a closed channel with a reason; it never faults, never loops, never reads
// outside of the region.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "lib/ring/message.hpp"
#include "schema/console.capnp.h"
#include "test/unit/ring/shared_memory.hpp"

using namespace bulkhead::ring;
using namespace ring_test;
using bulkhead::schema::console::FromDomain;

namespace {

// Only this end is real; the peer's region is whatever a test writes.
struct Victim {
    Victim() : own{4096}, peer{4096}, channel{own.own(), peer.granted(), bell} {
        peer.control().magic = kMagic;
        peer.control().data_words = kWords;
    }
    static constexpr uint64_t kWords = (4096 - kDataOffset) / 8;
    Region own, peer;
    CountingBell bell;
    Channel channel;
    std::span<uint64_t> got;
};

bool read_text(FromDomain::Reader message) {
    switch (message.which()) {
        case FromDomain::HELLO: return message.getHello().size() < 100;
        case FromDomain::OUTPUT: {
            unsigned sum = 0;
            for (const auto byte : message.getOutput()) sum += byte;
            return sum != 1;
        }
        default: return true;
    }
}

}  // namespace

TEST_CASE("impossible positions close the channel") {
    const auto tail = GENERATE(Victim::kWords + 1, ~0ull, 1ull << 63, 0x8000'0000ull);
    Victim v;
    v.peer.control().tail = tail;
    CHECK(v.channel.receive(v.got) == Io::Closed);
    CHECK(v.channel.reason() == CloseReason::BadIndex);
}

TEST_CASE("a position that goes back closes the channel") {
    Victim v;
    v.peer.data()[0] = entry_header(EntryKind::Message, 1);
    v.peer.control().tail = 10;
    REQUIRE(v.channel.receive(v.got) == Io::Ok);
    v.peer.control().tail = 1;
    CHECK(v.channel.arm());
    CHECK(v.channel.reason() == CloseReason::BadIndex);
}

TEST_CASE("a head beyond what was sent closes the channel when room is asked for") {
    Victim v;
    std::span<uint64_t> out;
    while (v.channel.prepare(50, out) == Io::Ok) v.channel.commit(50);
    REQUIRE(v.channel.open());
    v.peer.control().head = 5000;
    CHECK(v.channel.prepare(50, out) == Io::Closed);
    CHECK(v.channel.reason() == CloseReason::BadIndex);
}

TEST_CASE("malformed entries close the channel") {
    const auto header = GENERATE(
        uint64_t{0}, entry_header(EntryKind::Message, 0), entry_header(EntryKind::Message, 10),
        entry_header(EntryKind::Message, 0xffff'ffff), entry_header(EntryKind::Padding, 3), ~uint64_t{0});
    Victim v;
    v.peer.data()[0] = header;
    v.peer.control().tail = 10;
    CHECK(v.channel.receive(v.got) == Io::Closed);
    CHECK(v.channel.reason() == CloseReason::BadEntry);
}

TEST_CASE("a ring of nothing but padding does not keep the consumer busy") {
    Victim v;
    v.peer.data()[0] = entry_header(EntryKind::Padding, Victim::kWords - 1);
    v.peer.control().tail = Victim::kWords;
    CHECK(v.channel.receive(v.got) == Io::Empty);
    v.peer.control().tail = 2 * Victim::kWords;
    CHECK(v.channel.receive(v.got) == Io::Empty);  // one lap a call, each published by the peer anew
}

TEST_CASE("a region that is not one closes the channel") {
    Victim v;
    v.peer.control().magic = 7;
    v.peer.control().tail = 1;
    CHECK(v.channel.receive(v.got) == Io::Closed);
    CHECK(v.channel.reason() == CloseReason::BadRegion);
}

TEST_CASE("random control words and data never yield more than a whole entry") {
    std::mt19937_64 random{GENERATE(range(1u, 40u))};
    Victim v;
    for (int n = 0; n < 300 && v.channel.open(); ++n) {
        for (unsigned i = 0; i < 8; ++i)
            v.peer.data()[random() % Victim::kWords] =
                random() % 3 ? entry_header(random() % 4 ? EntryKind::Message : EntryKind::Padding,
                                            static_cast<uint32_t>(random() % 300))
                             : random();
        auto& control = v.peer.control();
        control.tail = random() % 8 ? control.tail + random() % 64 : random();
        control.head = random() % 8 ? control.head + random() % 4 : random();
        control.wake_at = random();
        control.space_at = random();
        std::span<uint64_t> out;
        if (v.channel.prepare(1 + random() % 100, out) == Io::Ok) v.channel.commit(1 + random() % out.size());
        for (int k = 0; k < 20; ++k) {
            const Io io = v.channel.receive(v.got);
            if (io == Io::Ok)
                REQUIRE(v.got.size() <= Victim::kWords / 2);
            else
                break;
        }
        if (v.channel.open()) (void)v.channel.arm();
    }
    CHECK(v.bell.rings <= 40 * 300);
}

TEST_CASE("random words as messages are refused or read, within limits") {
    std::mt19937_64 random{GENERATE(range(1u, 400u))};
    Victim v;
    const uint32_t words = 1 + static_cast<uint32_t>(random() % 60);
    v.peer.data()[0] = entry_header(EntryKind::Message, words);
    for (unsigned i = 1; i <= words; ++i) v.peer.data()[i] = random() % 2 ? random() % 256 : random();
    v.peer.control().tail = words + 1;
    const Io io = receive<FromDomain>(v.channel, read_text);
    CHECK((io == Io::Ok || io == Io::Closed));
    CHECK((v.channel.open() || v.channel.reason() == CloseReason::BadMessage ||
           v.channel.reason() == CloseReason::Refused));
}

TEST_CASE("a message that changes while it is read is read once") {
    Victim v;
    std::atomic<bool> stop = false;
    // A valid message, whose bytes another thread keeps overwriting.
    CountingBell bell;
    {
        Channel honest{v.peer.own(), v.own.granted(), bell};
        REQUIRE(send<FromDomain>(honest, 40, [](auto message) { message.setHello("domain"); }) == Io::Ok);
    }
    const uint64_t length = v.peer.control().tail;
    std::vector<uint64_t> original(v.peer.data(), v.peer.data() + length);
    std::thread writer{[&] {
        std::mt19937_64 random{5};
        while (!stop) {
            const uint64_t i = random() % length;
            std::atomic_ref{v.peer.data()[i]} = random();
            std::atomic_ref{v.peer.data()[i]} = original[i];
        }
    }};
    unsigned whole = 0;
    for (int n = 0; n < 20000; ++n) {
        CountingBell own_bell;
        Channel consumer{v.own.own(), v.peer.granted(), own_bell};
        if (receive<FromDomain>(consumer, read_text) == Io::Ok) ++whole;
    }
    stop = true;
    writer.join();
    CHECK(whole > 0);
}

TEST_CASE("a revoked grant is an error value wherever it strikes") {
    Victim v;
    std::span<uint64_t> out;
    v.peer.data()[0] = entry_header(EntryKind::Message, 1);
    v.peer.control().tail = 2;
    SECTION("before a receive") {
        v.peer.revoke();
        CHECK(v.channel.receive(v.got) == Io::Closed);
    }
    SECTION("before a send: the entry is written, nobody will read it") {
        REQUIRE(v.channel.prepare(3, out) == Io::Ok);
        v.peer.revoke();
        v.channel.commit(3);
        CHECK_FALSE(v.channel.open());
    }
    SECTION("before a check") {
        v.peer.revoke();
        CHECK_FALSE(v.channel.check_peer());
    }
    SECTION("before sleeping: there is nothing to wait for") {
        v.peer.revoke();
        CHECK(v.channel.arm());
        CHECK_FALSE(v.channel.open());
    }
    CHECK(v.channel.reason() == CloseReason::PeerGone);
    CHECK(v.bell.rings == 0);  // nobody is there to be rung
}

TEST_CASE("a grant revoked at a random moment, under load") {
    for (unsigned seed = 0; seed < 50; ++seed) {
        Region own{4096}, peer{4096};
        CountingBell bell, other;
        Channel channel{own.own(), peer.granted(), bell};
        std::atomic<bool> go = false;
        std::thread revoker{[&] {
            go = true;
            for (unsigned i = 0; i < seed * 400; ++i) asm volatile("");
            peer.revoke();
        }};
        Channel sender{peer.own(), own.granted(), other};
        while (!go) {
        }
        std::span<uint64_t> out;
        for (uint64_t n = 0; channel.open(); ++n) {
            if (sender.prepare(3, out) == Io::Ok) {
                out[0] = n;
                sender.commit(3);
            }
            if (channel.receive(out) == Io::Ok) REQUIRE(out.size() == 3);
        }
        CHECK(channel.reason() == CloseReason::PeerGone);
        revoker.join();
    }
}

// The producer runs in a child, one instruction at a time. After each, what a consumer would find if the
// producer died there is tried on a copy of the region.
TEST_CASE("a producer that dies at any instruction leaves a prefix of what it sent") {
    constexpr uint64_t kEntries = 4;
    Region own{4096}, peer{4096};
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        CountingBell bell;
        Channel producer{peer.own(), own.granted(), bell};
        raise(SIGSTOP);
        for (uint64_t n = 0; n < kEntries; ++n) {
            std::span<uint64_t> out;
            if (producer.prepare(4, out) != Io::Ok) _exit(1);
            for (uint64_t& word : out) word = n + 1;
            producer.commit(4);
        }
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSTOPPED(status));
    Region copy{4096}, mine{4096};
    uint64_t steps = 0, most = 0, tries = 0;
    std::vector<std::byte> last(4096);
    while (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 && waitpid(child, &status, 0) == child &&
           WIFSTOPPED(status)) {
        ++steps;
        if (std::memcmp(last.data(), peer.own().data(), last.size()) == 0) continue;
        std::memcpy(last.data(), peer.own().data(), last.size());
        std::memcpy(copy.own().data(), last.data(), last.size());
        ++tries;
        CountingBell bell;
        Channel consumer{mine.own(), copy.granted(), bell};
        std::span<uint64_t> got;
        uint64_t n = 0;
        for (; consumer.receive(got) == Io::Ok; ++n) {
            REQUIRE(got.size() == 4);
            for (const uint64_t word : got) REQUIRE(word == n + 1);
        }
        REQUIRE(consumer.open());
        REQUIRE(n >= most);
        most = n;
    }
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    CHECK(most == kEntries);
    CHECK(tries > 10);
    CHECK(steps > 100);
}
