// SPDX-License-Identifier: Apache-2.0
// Deadlines and scheduling.
#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>

#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::ObjectType;
using abi::Status;
using core::ThreadState;
using fake::Machine;

TEST_CASE("The deadline heap agrees with a sorted set") {
    const unsigned seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    core::TimerHeap heap{};
    std::vector<core::Timer> timers(200);
    std::set<std::pair<uint64_t, core::Timer*>> model;
    for (unsigned step = 0; step < 100000; ++step) {
        core::Timer& t = timers[random() % timers.size()];
        if (!t.armed()) {
            const uint64_t deadline = random() % 1000;
            heap.insert(t, deadline);
            model.emplace(deadline, &t);
        } else if (random() % 3 == 0) {
            core::Timer& first = *heap.top;
            model.erase({first.deadline, &first});
            core::TimerHeap::remove(first);
        } else {
            model.erase({t.deadline, &t});
            core::TimerHeap::remove(t);
        }
        REQUIRE(heap.earliest() == (model.empty() ? abi::kDeadlineNever : model.begin()->first));
    }
}

namespace {

struct Sleeper {
    Machine m;
    uint64_t n = m.make(ObjectType::Notification);
    void root_sleeps() { (void)m.call(Call::Wait, n, abi::kDeadlineNever); }
    void root_wakes() {
        core::sys.here = &m.cpu[0];
        core::signal(*m.slot(n).as<core::Notification>(), 1);
        (void)m.resched(0);
    }
};

}  // namespace

TEST_CASE("Higher priority first; equals share by weight; one context's threads share its weight") {
    Sleeper s;
    Machine& m = s.m;
    core::Thread& high = m.make_thread(0, 30);
    core::Thread& a = m.make_thread(0, 20);
    core::Thread& b = m.make_thread(0, 20);
    core::Thread& b2 = m.make_thread(0, 20);
    REQUIRE(m.call(Call::ThreadSet, m.cap_of(b2), static_cast<uint64_t>(abi::ThreadSlot::SchedContext),
                   m.sched_of(b))
                .status == Status::Ok);
    REQUIRE(m.call(Call::SchedConfigure, abi::root::kSchedControl, m.sched_of(a), 0, 20, 3 * 256, 0).status ==
            Status::Ok);
    for (core::Thread* t : {&high, &a, &b, &b2}) m.start(*t);
    s.root_sleeps();
    CHECK(m.cpu[0].current == &high);
    (void)m.call(high, Call::Wait, s.n, abi::kDeadlineNever);
    std::map<core::Thread*, uint64_t> ran;
    for (unsigned i = 0; i < 40000; ++i) {
        ran[m.cpu[0].current] += 10'000;
        m.advance(0, 10'000);
    }
    CHECK(ran.size() == 3);
    const double share = static_cast<double>(ran[&a]) / static_cast<double>(ran[&b] + ran[&b2]);
    CHECK(share == Approx(3.0).epsilon(0.05));
    CHECK(static_cast<double>(ran[&b]) / static_cast<double>(ran[&b2]) == Approx(1.0).epsilon(0.1));
    core::sys.here = &m.cpu[0];
    const auto consumed = m.slot(m.sched_of(a)).as<core::SchedContext>()->consumed;
    CHECK(static_cast<double>(consumed) == Approx(static_cast<double>(ran[&a])).epsilon(0.01));
}

TEST_CASE("A budget is not exceeded, and comes back every period") {
    Sleeper s;
    Machine& m = s.m;
    core::Thread& a = m.make_thread(0, 30);
    core::Thread& b = m.make_thread(0, 20);
    REQUIRE(m.call(Call::SchedConfigure, abi::root::kSchedControl, m.sched_of(a), 0, 30, 256,
                   abi::sched_budget(1000, 10000))
                .status == Status::Ok);
    m.start(a);
    m.start(b);
    s.root_sleeps();
    uint64_t by_a = 0;
    for (unsigned i = 0; i < 100'000; ++i) {
        if (m.cpu[0].current == &a) by_a += 10'000;
        m.advance(0, 10'000);
    }
    CHECK(by_a > 95'000'000);
    CHECK(by_a < 110'000'000);
    REQUIRE(m.cpu[0].current != nullptr);
}

TEST_CASE("Paused contexts do not run, wherever they are") {
    Sleeper s;
    Machine& m = s.m;
    core::Thread& a = m.make_thread(1, 30);
    m.start(a);
    CHECK(fake::state.resched[1] > 0);
    CHECK(m.resched(1) == &a);
    const unsigned stops = fake::state.stops;
    CHECK(m.call(Call::SchedPause, m.sched_of(a), 1).status == Status::Ok);
    CHECK(fake::state.stops == stops + 1);
    CHECK(m.cpu[1].current == nullptr);
    CHECK(m.resched(1) == nullptr);
    CHECK((m.call(Call::SchedRead, m.sched_of(a)).r1 >> 32) == 1);
    CHECK(m.call(Call::SchedPause, m.sched_of(a), 0).status == Status::Ok);
    CHECK(m.resched(1) == &a);
    CHECK(m.call(Call::SchedPause, m.sched_of(a), 2).status == Status::BadArgument);
    // Moved to another CPU while it runs.
    CHECK(m.call(Call::SchedConfigure, abi::root::kSchedControl, m.sched_of(a), 0, 62, 256, 0).status ==
          Status::Ok);
    CHECK(m.resched(1) == nullptr);
    s.root_sleeps();
    CHECK(m.cpu[0].current == &a);
}

// A server that was called runs on the time of its caller. When that time is taken away from another CPU,
// used up or not, the server's CPU must hear of it, and of everything that happens there later.
TEST_CASE("A context that another CPU moves while it pays for a call leaves that CPU reachable") {
    for (const bool used_up : {false, true}) {
        Sleeper s;
        Machine& m = s.m;
        core::Thread& server = m.make_thread(1, 30);
        core::Thread& client = m.make_thread(1, 20);
        core::Thread& better = m.make_thread(1, 40);
        const uint64_t e = m.make(ObjectType::Endpoint), reply = m.make(ObjectType::Reply);
        const uint64_t budget = abi::sched_budget(1000, 10000);
        REQUIRE(m.call(Call::SchedConfigure, abi::root::kSchedControl, m.sched_of(client), 1, 20, 256, budget)
                    .status == Status::Ok);
        m.start(server);
        REQUIRE(m.resched(1) == &server);
        (void)m.call(server, Call::IpcRecv, e, 0, 0, 0, 0, 0, reply);
        m.start(client);
        REQUIRE(m.resched(1) == &client);
        (void)m.call(client, Call::IpcCall, e, 0);
        REQUIRE(m.cpu[1].current == &server);
        REQUIRE(m.cpu[1].charged == client.sched);

        if (used_up) fake::state.clock += core::us_to_ticks(2000);  // the timer there is a little late
        unsigned sent = fake::state.resched[1];
        REQUIRE(m.call(Call::SchedConfigure, abi::root::kSchedControl, m.sched_of(client), 0, 20, 256, budget)
                    .status == Status::Ok);
        CHECK(fake::state.resched[1] > sent);
        CHECK(m.resched(1) == &server);
        CHECK(m.cpu[1].charged == server.sched);
        sent = fake::state.resched[1];
        m.start(better);
        CHECK(fake::state.resched[1] > sent);
        CHECK(m.resched(1) == &better);
    }
}

TEST_CASE("SchedConfigure refuses what makes no sense, and what its capability forbids") {
    Machine m;
    const uint64_t s = m.make(ObjectType::SchedContext), limited = m.free_slot();
    const auto configure = [&](uint64_t control, uint64_t cpu, uint64_t priority, uint64_t weight,
                               uint64_t budget) {
        return m.call(Call::SchedConfigure, control, s, cpu, priority, weight, budget).status;
    };
    CHECK(configure(abi::root::kSchedControl, 2, 1, 256, 0) == Status::BadArgument);
    CHECK(configure(abi::root::kSchedControl, 0, 64, 256, 0) == Status::BadArgument);
    CHECK(configure(abi::root::kSchedControl, 0, 1, 0, 0) == Status::BadArgument);
    CHECK(configure(abi::root::kSchedControl, 0, 1, 65536, 0) == Status::BadArgument);
    CHECK(configure(abi::root::kSchedControl, 0, 1, 256, abi::sched_budget(1000, 500)) ==
          Status::BadArgument);
    CHECK(configure(abi::root::kLog, 0, 1, 256, 0) == Status::WrongType);
    REQUIRE(m.call(Call::CapMint, limited, abi::root::kSchedControl, abi::rights::kAll, 10).status ==
            Status::Ok);
    CHECK(configure(limited, 0, 11, 256, 0) == Status::NoRights);
    CHECK(configure(limited, 0, 10, 256, 0) == Status::Ok);
}

TEST_CASE("Threads that miss a part do not start; taking a part away stops them, on any CPU") {
    Sleeper s;
    Machine& m = s.m;
    const uint64_t bare = m.make(ObjectType::Thread);
    CHECK(m.call(Call::ThreadStart, bare, 0x1000, 0, 0, 0, 0).status == Status::NotReady);
    CHECK(m.call(Call::ThreadSet, bare, 4, m.make(ObjectType::SchedContext)).status == Status::NotReady);
    CHECK(m.call(Call::ThreadSet, bare, 6, 0).status == Status::BadArgument);
    CHECK(m.call(Call::ThreadSet, bare, 0, abi::root::kVSpace).status == Status::WrongType);
    CHECK(m.call(Call::ThreadSet, abi::root::kVSpace, 0, abi::root::kCNode).status == Status::WrongType);
    core::Thread& a = m.make_thread(1, 30);
    m.start(a);
    REQUIRE(m.resched(1) == &a);
    CHECK(m.call(Call::CapRevoke, m.sched_of(a)).status ==
          Status::Ok);  // the thread's slot is a child of this
    CHECK(a.sched == nullptr);
    CHECK(m.cpu[1].current == nullptr);
    CHECK(m.call(Call::ThreadSet, m.cap_of(a), 4, m.sched_of(a)).status == Status::Ok);
    CHECK(m.resched(1) == &a);
    CHECK(m.call(Call::ThreadStart, m.cap_of(a), abi::kUserEnd, 0, 0, 0, 0).status == Status::BadArgument);
    CHECK(m.call(Call::CapDelete, m.cap_of(a)).status == Status::Ok);
    CHECK(m.cpu[1].current == nullptr);
    CHECK(m.resched(1) == nullptr);
}

TEST_CASE("Signals wake one waiter each, across CPUs, in order") {
    Sleeper s;
    Machine& m = s.m;
    const uint64_t n = m.make(ObjectType::Notification), bit = m.free_slot();
    REQUIRE(m.call(Call::CapMint, bit, n, abi::rights::kAll, 1).status == Status::Ok);
    core::Thread* t[3];
    for (auto& thread : t) {
        thread = &m.make_thread(1, 30);
        m.start(*thread);
        REQUIRE(m.resched(1) == thread);
        (void)m.call(*thread, Call::Wait, n, abi::kDeadlineNever);
    }
    CHECK(m.cpu[1].current == nullptr);
    for (auto& thread : t) {
        const unsigned sent = fake::state.resched[1];
        CHECK(m.call(Call::Signal, bit).status == Status::Ok);
        CHECK(fake::state.resched[1] == sent + 1);
        CHECK(m.resched(1) == thread);
        (void)m.call(*thread, Call::Wait, s.n, abi::kDeadlineNever);
    }
    CHECK(m.call(Call::Signal, bit).status == Status::Ok);
    CHECK(m.call(Call::Signal, bit).status == Status::Ok);
    CHECK(m.call(Call::Wait, n, 0).r0 == 1);
    CHECK(m.call(Call::Wait, n, 0).status == Status::Timeout);
}
