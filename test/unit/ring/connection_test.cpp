// SPDX-License-Identifier: Apache-2.0
// A client's connection on a fake kernel: the test plays services that die, and ones that answer nonsense.
#include "lib/ring/connection.hpp"

#include <catch2/catch.hpp>
#include <functional>

#include "test/unit/fake_kernel/domain.hpp"
#include "test/unit/ring/shared_memory.hpp"

using namespace bulkhead;
using abi::CapAddr;
using abi::ObjectType;
using abi::Status;

namespace {

constexpr uint64_t kBits = 14;

struct World : fake::Domain {
    std::optional<ring::Hub> hub;
    std::optional<ring::Connection> connection;

    // The service's side. `frames` keep its regions: revoking one is its death.
    std::function<Status(cap::RawCall&)> service = [this](cap::RawCall& c) { return accept(c); };
    std::vector<CapAddr> taken;
    uint32_t next_slot = 10'000;
    CapAddr frame;
    uint64_t tomb_bit = 0;

    World() : fake::Domain{26} {
        ring_test::install_fixup();
        kernel.give(100, ObjectType::Untyped, 25, 0);
        kernel.give(101, ObjectType::Endpoint);
        kernel.talk = [this](abi::Call number, cap::RawCall& c) {
            return number == abi::Call::IpcCall ? service(c) : Status::Ok;
        };
        env.memory.add(CapAddr{0, 100});
        hub.emplace(ring::Hub::create(env).value());
        connection.emplace(*hub, CapAddr{0, 101});
    }

    CapAddr slot() { return CapAddr{0, next_slot++}; }
    // What the client sent: region, doorbell, tombstone.
    void take(const cap::RawCall& c) {
        taken.clear();
        for (unsigned i = 0; i < abi::MessageTag{c.a[1]}.caps(); i++) {
            taken.push_back(slot());
            REQUIRE(kernel.move(taken.back(), cap::ipc_buffer().caps[i]) == Status::Ok);
        }
        REQUIRE(taken.size() == 3);
        tomb_bit = kernel.find(taken[2])->badge;
    }
    void give(unsigned index, ObjectType type, uint64_t bits = 0) {
        const CapAddr made = slot();
        kernel.give(made.slot(), type, bits, 32 << 20);
        const CapAddr to = cap::ipc_buffer().receive_slots[index];
        if (type == ObjectType::Frame) {
            frame = made;
            REQUIRE(kernel.copy(to, made, abi::rights::kRead, 0, false) == Status::Ok);
        } else {
            REQUIRE(kernel.move(to, made) == Status::Ok);
        }
    }
    Status answer(cap::RawCall& c, unsigned caps, uint64_t status = 0, uint64_t bits = kBits,
                  uint64_t label = abi::kConnect) {
        c.a[1] = abi::MessageTag{label, 2, caps}.raw;
        c.a[2] = status;
        c.a[3] = bits;
        return Status::Ok;
    }
    Status accept(cap::RawCall& c) {
        take(c);
        give(0, ObjectType::Frame, kBits);
        give(1, ObjectType::Notification);
        give(2, ObjectType::Notification);
        return answer(c, 3);
    }
    // As the kernel does it: the service's objects go, its clients' tombstones signal.
    void die() {
        if (!frame.is_null()) {
            REQUIRE(kernel.revoke(frame) == Status::Ok);
            REQUIRE(kernel.erase(frame) == Status::Ok);
        }
        for (const CapAddr at : std::exchange(taken, {})) REQUIRE(kernel.erase(at) == Status::Ok);
        hub->note(tomb_bit);
        frame = CapAddr{};
    }
};

}  // namespace

TEST_CASE("a service's death is seen, and is not the next one's") {
    World w;
    for (unsigned life = 1; life <= 3; life++) {
        REQUIRE(w.connection->connect() == Status::Ok);
        CHECK(w.connection->generation() == life);
        CHECK_FALSE(w.connection->lost());
        w.die();
        CHECK(w.connection->lost());
        CHECK(w.connection->channel().reason() == ring::CloseReason::PeerGone);
    }
}

TEST_CASE("a service that dies with a connect in its hands leaves no news of a death to the next one") {
    World w;
    // A first life, after which every signal of the tombstone's bit is accounted for: a late one of somebody
    // before, and its own, seen at the instant in which its region goes.
    REQUIRE(w.connection->connect() == Status::Ok);
    w.hub->note(w.tomb_bit);
    REQUIRE_FALSE(w.connection->lost());
    w.hub->note(w.tomb_bit);
    w.kernel.refuse_at = w.kernel.calls + 1;
    REQUIRE(w.connection->lost());
    unsigned deaths = GENERATE(1u, 2u, 5u);
    w.service = [&](cap::RawCall& c) {
        if (deaths == 0) return w.accept(c);
        deaths--;
        w.take(c);
        w.die();
        return Status::PeerGone;
    };
    REQUIRE(w.connection->connect() == Status::Ok);
    CHECK_FALSE(w.connection->lost());
    CHECK_FALSE(w.connection->lost());
    w.die();
    CHECK(w.connection->lost());
}

TEST_CASE("a channel's end by its own client is not taken for the service's death") {
    World w;
    for (int turn = 0; turn < 3; turn++) {
        REQUIRE(w.connection->connect() == Status::Ok);
        w.connection->disconnect();
        w.hub->note(w.tomb_bit);  // our own tombstone, taken back out of the service's hands
        REQUIRE(w.connection->connect() == Status::Ok);
        CHECK_FALSE(w.connection->lost());
    }
    w.die();
    CHECK(w.connection->lost());
}

TEST_CASE("a service's nonsense is refused, and nothing of it stays") {
    World w;
    REQUIRE(w.connection->connect() == Status::Ok);  // page tables of the window stay
    w.connection->disconnect();
    const auto forget = [&] {  // the service's side
        for (const CapAddr at : std::exchange(w.taken, {})) (void)w.kernel.erase(at);
        (void)w.kernel.erase(std::exchange(w.frame, CapAddr{}));
    };
    forget();
    const size_t before = w.kernel.nodes();
    struct Row {
        const char* what;
        Status expected;
        std::function<Status(cap::RawCall&)> answer;
    };
    const auto all = [&](ObjectType region, uint64_t bits) {
        w.give(0, region, bits);
        w.give(1, ObjectType::Notification);
        w.give(2, ObjectType::Notification);
    };
    const Row rows[] = {
        {"another label", Status::BadArgument, [&](auto& c) { return w.answer(c, 0, 0, kBits, 77); }},
        {"a refusal", Status::OutOfMemory,
         [&](auto& c) { return w.answer(c, 0, static_cast<uint64_t>(Status::OutOfMemory)); }},
        {"no capabilities", Status::BadArgument, [&](auto& c) { return w.answer(c, 0); }},
        {"a region too small", Status::BadArgument,
         [&](auto& c) { return all(ObjectType::Frame, 12), w.answer(c, 3, 0, 11); }},
        {"a region too large", Status::BadArgument,
         [&](auto& c) { return all(ObjectType::Frame, 12), w.answer(c, 3, 0, 63); }},
        {"a region of another size than said", Status::BadArgument,
         [&](auto& c) { return all(ObjectType::Frame, 12), w.answer(c, 3); }},
        {"a region that is no memory", Status::WrongType,
         [&](auto& c) { return all(ObjectType::Endpoint, 0), w.answer(c, 3); }},
    };
    for (const Row& row : rows) {
        INFO(row.what);
        w.service = [&](cap::RawCall& c) { return w.take(c), row.answer(c); };
        CHECK(w.connection->connect() == row.expected);
        CHECK_FALSE(w.connection->connected());
        forget();
        CHECK(w.kernel.nodes() == before);
    }
    w.service = [&](cap::RawCall& c) { return w.accept(c); };
    CHECK(w.connection->connect() == Status::Ok);
}
