// SPDX-License-Identifier: Apache-2.0
// Cap'n Proto in a ring: built in place, one segment or nothing, read within limits.
#include "lib/ring/message.hpp"

#include <catch2/catch.hpp>

#include "schema/console.capnp.h"
#include "test/unit/ring/shared_memory.hpp"

using namespace bulkhead::ring;
using namespace ring_test;
using bulkhead::schema::console::FromControl;
using bulkhead::schema::console::FromDomain;
using bulkhead::schema::console::ToControl;

namespace {
struct Pair {
    Region a{4096}, b{4096};
    CountingBell bell_a, bell_b;
    Channel left{a.own(), b.granted(), bell_a}, right{b.own(), a.granted(), bell_b};
};
}  // namespace

TEST_CASE("a message arrives as it was built") {
    Pair p;
    REQUIRE(send<FromControl>(p.left, 16, [](auto message) {
                auto attach = message.initAttach();
                attach.setRequest(7);
                attach.setDomain(42);
            }) == Io::Ok);
    bool seen = false;
    REQUIRE(receive<FromControl>(p.right, [&](auto message) {
                seen = message.isAttach() && message.getAttach().getRequest() == 7 &&
                       message.getAttach().getDomain() == 42;
                return true;
            }) == Io::Ok);
    CHECK(seen);
}

TEST_CASE("only the words that a message uses are sent") {
    Pair p;
    REQUIRE(send<FromDomain>(p.left, 200, [](auto message) { message.setHello("x"); }) == Io::Ok);
    std::span<uint64_t> got;
    REQUIRE(p.right.receive(got) == Io::Ok);
    CHECK(got.size() < 8);
}

TEST_CASE("a message that needs a second segment is not sent, and the channel goes on") {
    Pair p;
    const std::string text(500, 'a');
    CHECK(send<FromDomain>(p.left, 20, [&](auto message) { message.setHello(text); }) == Io::TooLarge);
    CHECK(send<FromDomain>(p.left, 100, [&](auto message) { message.setHello(text); }) == Io::Ok);
    std::string got;
    REQUIRE(receive<FromDomain>(p.right, [&](auto message) {
                got = message.getHello().cStr();
                return true;
            }) == Io::Ok);
    CHECK(got == text);
    CHECK(p.right.received() == 1);
}

TEST_CASE("a refused message closes the channel") {
    Pair p;
    REQUIRE(send<FromDomain>(p.left, 16, [](auto message) { message.setClosed(); }) == Io::Ok);
    CHECK(receive<FromDomain>(p.right, [](auto) { return false; }) == Io::Closed);
    CHECK(p.right.reason() == CloseReason::Refused);
    std::span<uint64_t> out;
    CHECK(p.left.receive(out) == Io::Closed);
    CHECK(p.left.reason() == CloseReason::PeerClosed);
}

TEST_CASE("a message that sends its reader round in circles hits the traversal limit") {
    Pair p;
    // A list of many structs that takes no space: an amplification attack on whoever walks it.
    std::span<uint64_t> out;
    REQUIRE(send<ToControl>(p.left, 64, [](auto message) { message.initResult().initDomains(2); }) == Io::Ok);
    std::span<uint64_t> got;
    REQUIRE(p.right.receive(got) == Io::Ok);
    REQUIRE(p.left.prepare(got.size(), out) == Io::Ok);
    std::copy(got.begin(), got.end(), out.begin());
    p.left.commit(out.size());
    uint64_t visited = 0;
    const Io io = receive<ToControl>(p.right, [&](auto message) {
        for (int n = 0; n < 1'000'000; ++n)
            for (const auto domain : message.getResult().getDomains()) visited += 1 + domain.getBadge();
        return true;
    });
    CHECK(io == Io::Closed);
    CHECK(p.right.reason() == CloseReason::BadMessage);
    CHECK(visited < 10000);
}
