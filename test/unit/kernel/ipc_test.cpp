// SPDX-License-Identifier: Apache-2.0
// Calls, replies, capability transfer, notifications, faults, vCPUs.
#include <catch2/catch.hpp>

#include <cstring>

#include "abi/start.hpp"
#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::MessageTag;
using abi::ObjectType;
using abi::Status;
using abi::ThreadSlot;
using core::ThreadState;
using fake::Machine;
namespace rights = abi::rights;

namespace {

// A server (waiting in receive) and a client (running), both on CPU 0 but the root thread's priority above
// them is asleep.
struct Pair {
    Machine m;
    uint64_t e = m.make(ObjectType::Endpoint), badged = m.free_slot(), reply = m.make(ObjectType::Reply),
             n = m.make(ObjectType::Notification);
    core::Thread& client;
    core::Thread& server;
    explicit Pair(bool passive = false, unsigned server_cpu = 0)
        : client{m.make_thread(0, 20)}, server{m.make_thread(server_cpu, 20, passive)} {
        REQUIRE(m.call(Call::CapMint, badged, e, rights::kAll, 77).status == Status::Ok);
        if (passive) set(server, ThreadSlot::SchedContext, m.sched_of(client));
        m.start(server);
        root_sleeps();
        m.resched(server_cpu);
        REQUIRE(server.running_on() != nullptr);
        (void)m.call(server, Call::IpcRecv, e, 0, 0, 0, 0, 0, reply);
        REQUIRE(server.state == ThreadState::Receiving);
        root_wakes();
        if (passive) set(server, ThreadSlot::SchedContext, 0);
        m.start(client);
        root_sleeps();
        REQUIRE(client.running_on() == &m.cpu[0]);
    }
    void set(core::Thread& t, ThreadSlot which, uint64_t what) {
        REQUIRE(m.call(Call::ThreadSet, m.cap_of(t), static_cast<uint64_t>(which), what).status ==
                Status::Ok);
    }
    void root_sleeps() { (void)m.call(Call::Wait, n, abi::kDeadlineNever); }
    void root_wakes() {
        core::sys.here = &m.cpu[0];
        core::signal(*m.slot(n).as<core::Notification>(), 1);
        (void)m.resched(0);
        REQUIRE(m.root().running_on() == &m.cpu[0]);
    }
    Status status(const core::Thread& t) { return static_cast<Status>(t.user.rax); }
};

}  // namespace

TEST_CASE("Call and reply switch directly, words and badge arrive, the client continues") {
    for (const bool passive : {false, true}) {
        Pair p{passive};
        (void)p.m.call(p.client, Call::IpcCall, p.badged, MessageTag{5, 4, 0}.raw, 1, 2, 3, 4);
        REQUIRE(p.server.running_on() == &p.m.cpu[0]);
        CHECK(p.client.running_on() == nullptr);
        CHECK(p.client.state == ThreadState::Replying);
        CHECK(p.server.user.rdi == 77);
        CHECK(MessageTag{p.server.user.rsi}.label() == 5);
        CHECK(p.server.user.rdx == 1);
        CHECK(p.server.user.r9 == 4);
        CHECK(p.server.sched == (passive ? p.client.sched : p.server.sched));
        (void)p.m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{6, 2, 0}.raw, 10, 20, 0, 0, p.reply);
        REQUIRE(p.client.running_on() == &p.m.cpu[0]);
        CHECK(p.status(p.client) == Status::Ok);
        CHECK(MessageTag{p.client.user.rsi}.label() == 6);
        CHECK(p.client.user.rdx == 10);
        CHECK(p.client.user.r10 == 20);
        CHECK(p.server.state == ThreadState::Receiving);
        if (passive) CHECK(p.server.sched == nullptr);
    }
}

TEST_CASE("A server on another CPU is only reached when it is passive") {
    Pair p{false, 1};
    CHECK(p.m.call(p.client, Call::IpcCall, p.badged, 0).status == Status::WrongCpu);
    CHECK(p.client.running_on() == &p.m.cpu[0]);
    // A caller that queues is told when the server comes for it.
    p.root_wakes();
    REQUIRE(p.m.call(Call::ThreadSuspend, p.m.cap_of(p.server)).status == Status::Ok);
    p.root_sleeps();
    (void)p.m.call(p.client, Call::IpcCall, p.badged, 0);
    CHECK(p.client.state == ThreadState::Calling);
    p.root_wakes();
    REQUIRE(p.m.call(Call::ThreadResume, p.m.cap_of(p.server)).status == Status::Ok);
    p.m.resched(1);
    REQUIRE(p.server.running_on() == &p.m.cpu[1]);
    CHECK(p.status(p.server) == Status::Aborted);
    (void)p.m.call(p.server, Call::IpcRecv, p.e, 0, 0, 0, 0, 0, p.reply);
    CHECK(p.status(p.client) == Status::WrongCpu);
    CHECK(p.client.state == ThreadState::Ready);
}

TEST_CASE("A fault reaches its handler on another CPU, waiting or not, and the answer comes back") {
    for (const bool waiting : {true, false}) {
        Pair p{false, 1};
        p.root_wakes();
        p.set(p.client, ThreadSlot::FaultEndpoint, p.badged);
        if (!waiting) REQUIRE(p.m.call(Call::ThreadSuspend, p.m.cap_of(p.server)).status == Status::Ok);
        p.root_sleeps();
        p.client.user.rip = 0x9000;
        p.client.user.vector = 14;
        core::handle_exception(*p.client.running_on());
        CHECK(p.client.running_on() == nullptr);
        if (!waiting) {
            p.root_wakes();
            REQUIRE(p.m.call(Call::ThreadResume, p.m.cap_of(p.server)).status == Status::Ok);
            p.m.resched(1);
            (void)p.m.call(p.server, Call::IpcRecv, p.e, 0, 0, 0, 0, 0, p.reply);
            p.root_sleeps();
        } else {
            p.m.resched(1);
        }
        REQUIRE(p.server.running_on() == &p.m.cpu[1]);
        CHECK(p.status(p.server) == Status::Ok);
        CHECK(MessageTag{p.server.user.rsi}.label() == abi::kFaultLabel);
        CHECK(p.server.user.rdi == 77);
        CHECK(p.server.user.rdx == 0x9000);
        (void)p.m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{abi::kFaultResume, 0, 0}.raw, 0, 0, 0, 0,
                       p.reply);
        p.m.resched(0);
        CHECK(p.client.running_on() == &p.m.cpu[0]);
        CHECK(p.server.state == ThreadState::Receiving);
    }
}

TEST_CASE("Long messages and capabilities; without kGrant none; what does not fit is left out") {
    Pair p;
    Machine& m = p.m;
    const uint64_t gift = 12000, moved = 12001, to = 12100;
    p.root_wakes();
    REQUIRE(
        m.call(Call::Retype, m.big_untyped(), static_cast<uint64_t>(ObjectType::Frame), 12, gift, 2).status ==
        Status::Ok);
    const uint64_t poor = m.free_slot();
    REQUIRE(m.call(Call::CapMint, poor, p.e, rights::kWrite, 1).status == Status::Ok);
    p.root_sleeps();
    for (unsigned i = 0; i < 64; ++i) p.client.buffer->words[i] = 100 + i;
    p.client.buffer->caps[0] = abi::CapAddr{gift};
    p.client.buffer->caps[1] = abi::CapAddr{moved};
    p.client.buffer->move = 2;
    p.server.buffer->receive_slots[0] = abi::CapAddr{to};
    p.server.buffer->receive_slots[1] = abi::CapAddr{to + 1};
    (void)m.call(p.client, Call::IpcCall, p.badged, MessageTag{9, 64, 2}.raw, 1, 2, 3, 4);
    REQUIRE(p.server.running_on() != nullptr);
    CHECK(MessageTag{p.server.user.rsi}.caps() == 2);
    CHECK(p.server.buffer->received == 2);
    CHECK(p.server.buffer->words[63] == 163);
    CHECK(m.slot(to).parent == &m.slot(gift));
    CHECK(m.slot(moved).empty());
    CHECK(m.slot(to + 1).type == ObjectType::Frame);
    CHECK(m.slot(to + 1).parent == &m.slot(m.big_untyped()));
    // The reply hands one back; its second does not exist.
    p.server.buffer->caps[0] = abi::CapAddr{to + 1};
    p.server.buffer->caps[1] = abi::CapAddr{13000};
    p.server.buffer->move = 3;
    p.client.buffer->receive_slots[0] = abi::CapAddr{to + 2};
    p.client.buffer->receive_slots[1] = abi::CapAddr{to + 3};
    (void)m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{1, 0, 2}.raw, 0, 0, 0, 0, p.reply);
    REQUIRE(p.client.running_on() != nullptr);
    CHECK(MessageTag{p.client.user.rsi}.caps() == 1);
    CHECK(!m.slot(to + 2).empty());
    p.client.buffer->move = 0;
    (void)m.call(p.client, Call::IpcCall, poor, MessageTag{9, 0, 1}.raw);
    CHECK(MessageTag{p.server.user.rsi}.caps() == 0);
    (void)m.call(p.server, Call::IpcReply, 0, MessageTag{1, 65, 0}.raw, 0, 0, 0, 0, p.reply);
    CHECK(p.status(p.server) == Status::BadArgument);
    (void)m.call(p.server, Call::IpcReply, 0, 0, 0, 0, 0, 0, p.reply);
    CHECK(p.status(p.server) == Status::Ok);
    (void)m.call(p.server, Call::IpcReply, 0, 0, 0, 0, 0, 0, p.reply);
    CHECK(p.status(p.server) == Status::PeerGone);
}

TEST_CASE("Whoever waits for something that goes away is told") {
    SECTION("the Reply of a caller") {
        Pair p;
        (void)p.m.call(p.client, Call::IpcCall, p.badged, 0);
        p.root_wakes();
        CHECK(p.m.call(Call::CapRevoke, p.reply).status == Status::Ok);
        CHECK(p.m.call(Call::CapDelete, p.reply).status == Status::Ok);
        CHECK(p.status(p.client) == Status::PeerGone);
        CHECK(p.client.state == ThreadState::Ready);
    }
    SECTION("the Endpoint, and the Reply of a receiver") {
        Pair p;
        p.root_wakes();
        CHECK(p.m.call(Call::CapRevoke, p.e).status == Status::Ok);
        CHECK(p.m.call(Call::CapDelete, p.e).status == Status::Ok);
        CHECK(p.status(p.server) == Status::PeerGone);
        CHECK(p.m.slot(p.reply).as<core::Reply>()->thread == nullptr);
    }
    SECTION("the server") {
        Pair p;
        (void)p.m.call(p.client, Call::IpcCall, p.badged, 0);
        p.root_wakes();
        CHECK(p.m.call(Call::CapDelete, p.m.cap_of(p.server)).status == Status::Ok);
        CHECK(p.client.state == ThreadState::Replying);  // its Reply lives: somebody else may answer
        CHECK(p.m.call(Call::CapDelete, p.reply).status == Status::Ok);
        CHECK(p.status(p.client) == Status::PeerGone);
    }
    SECTION("the client: the server's reply finds nobody") {
        Pair p;
        (void)p.m.call(p.client, Call::IpcCall, p.badged, 0);
        p.root_wakes();
        CHECK(p.m.call(Call::CapDelete, p.m.cap_of(p.client)).status == Status::Ok);
        p.root_sleeps();
        (void)p.m.call(p.server, Call::IpcReplyRecv, p.e, 0, 0, 0, 0, 0, p.reply);
        CHECK(p.server.state == ThreadState::Receiving);
    }
    SECTION("the Notification") {
        Pair p;
        p.root_wakes();
        const uint64_t n2 = p.m.make(ObjectType::Notification);
        p.root_sleeps();
        (void)p.m.call(p.client, Call::Wait, n2, abi::kDeadlineNever);
        CHECK(p.client.state == ThreadState::Waiting);
        p.root_wakes();
        CHECK(p.m.call(Call::CapDelete, n2).status == Status::Ok);
        CHECK(p.status(p.client) == Status::PeerGone);
    }
}

TEST_CASE("Receive: deadlines, bound notification, a Reply in use") {
    Pair p;
    Machine& m = p.m;
    p.root_wakes();
    const uint64_t bound = m.make(ObjectType::Notification);
    p.set(p.server, ThreadSlot::BoundNotification, bound);
    p.root_sleeps();
    CHECK(m.call(p.client, Call::IpcRecv, p.e, 0, 0, 0, 0, 0, p.reply).status == Status::Busy);
    CHECK(m.call(p.client, Call::Signal, bound).status == Status::Ok);
    CHECK(p.server.state == ThreadState::Receiving);  // an unbadged signal has no bits
    p.root_wakes();
    const uint64_t bit = m.free_slot();
    REQUIRE(m.call(Call::CapMint, bit, bound, rights::kWrite, 4).status == Status::Ok);
    p.root_sleeps();
    CHECK(m.call(p.client, Call::Signal, bit).status == Status::Ok);
    CHECK(p.status(p.server) == Status::Notified);
    CHECK(p.server.user.rdx == 4);
    (void)m.call(p.client, Call::Yield);
    REQUIRE(p.server.running_on() != nullptr);
    CHECK(m.call(p.server, Call::IpcRecv, p.e, 0, 0, 0, 0, 0, p.reply, abi::kDeadlinePoll).status ==
          Status::Timeout);
    (void)m.call(p.server, Call::IpcRecv, p.e, 0, 0, 0, 0, 0, p.reply, fake::state.clock + 1000);
    CHECK(p.server.state == ThreadState::Receiving);
    CHECK(fake::state.timer[0] <= fake::state.clock + 1000);
    m.advance(0, 1001);
    CHECK(p.status(p.server) == Status::Timeout);
    CHECK(m.slot(p.reply).as<core::Reply>()->thread == nullptr);
}

TEST_CASE("Suspend ends a wait with Aborted; registers can be read; exit stores zero and signals") {
    Pair p;
    Machine& m = p.m;
    p.root_wakes();
    CHECK(m.call(Call::ThreadSuspend, m.cap_of(p.server)).status == Status::Ok);
    CHECK(m.slot(p.e).as<core::Endpoint>()->receivers == nullptr);
    CHECK(m.call(Call::ThreadResume, m.cap_of(p.server)).status == Status::Ok);
    CHECK(p.status(p.server) == Status::Aborted);
    CHECK(m.call(Call::ThreadResume, m.cap_of(p.server)).status == Status::NotReady);
    CHECK(m.call(Call::ThreadStart, m.cap_of(p.server), 0x1000, 0, 0, 0, 0).status == Status::Busy);
    p.server.user.r15 = 0x1515;
    CHECK(m.call(Call::ThreadRead, m.cap_of(p.server)).status == Status::Ok);
    abi::ThreadRegisters r;
    memcpy(&r, m.root().buffer->data, sizeof r);
    CHECK(r.r15 == 0x1515);
    const uint64_t joined = m.make(ObjectType::Notification), bit = m.free_slot();
    REQUIRE(m.call(Call::CapMint, bit, joined, rights::kWrite, 8).status == Status::Ok);
    const uint64_t word = abi::kStartPages + 0x4000;  // the root's IPC buffer: the one writable page
    m.root().buffer->words[0] = ~uint64_t{0};
    p.root_sleeps();
    REQUIRE(p.client.running_on() != nullptr);
    CHECK(m.call(p.client, Call::ThreadExit, word + 2, bit).status == Status::BadArgument);
    CHECK(m.call(p.client, Call::ThreadExit, abi::kImageBase, bit).status == Status::BadArgument);
    (void)m.call(p.client, Call::ThreadExit, word, bit);
    CHECK(p.client.running_on() == nullptr);
    CHECK(m.root().buffer->words[0] == 0xffff'ffff'0000'0000);
    p.root_wakes();
    CHECK(m.call(Call::Wait, joined, 0).r0 == 8);
    CHECK(m.call(Call::ThreadResume, m.cap_of(p.client)).status == Status::NotReady);
    CHECK(m.call(Call::ThreadStart, m.cap_of(p.client), 0x1000, 0, 0, 0, 0).status ==
          Status::Ok);  // a new life
}

TEST_CASE("Faults: landing, handler with registers, resumption, no handler") {
    Pair p;
    Machine& m = p.m;
    const auto fault = [&](core::Thread& t, uint64_t vector) {
        t.user.vector = vector;
        t.user.error = 4;
        t.user.address = 0xdead0000;
        core::handle_exception(*t.running_on());
    };
    p.root_wakes();
    REQUIRE(m.call(Call::ThreadUpcall, m.cap_of(p.client), 0, 0x5000, 0x6000, 0x7777).status == Status::Ok);
    p.root_sleeps();
    p.client.user.rip = 0x5800;
    fault(p.client, 14);
    CHECK(p.client.user.rip == 0x7777);
    CHECK(p.client.running_on() != nullptr);
    p.root_wakes();
    p.set(p.client, ThreadSlot::FaultEndpoint, p.badged);
    p.root_sleeps();
    p.client.user.rip = 0x9000;
    p.client.user.rbx = 42;
    fault(p.client, 14);
    REQUIRE(p.server.running_on() != nullptr);
    CHECK(p.server.user.rdi == 77);
    CHECK(MessageTag{p.server.user.rsi}.label() == abi::kFaultLabel);
    CHECK(p.server.user.rdx == 0x9000);
    CHECK(p.server.user.r10 == 0xdead0000);
    CHECK(p.server.user.r9 == 14);
    abi::ThreadRegisters r;
    memcpy(&r, p.server.buffer->data, sizeof r);
    CHECK(r.rbx == 42);
    const uint64_t rdx_before = p.client.user.rdx;
    (void)m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{abi::kFaultResume, 0, 0}.raw, 99, 0, 0, 0,
                 p.reply);
    REQUIRE(p.client.running_on() != nullptr);
    CHECK(p.client.user.rip == 0x9000);
    CHECK(p.client.user.rdx == rdx_before);
    fault(p.client, 6);
    r.rip = 0xabc000;
    r.rflags = ~uint64_t{0};
    memcpy(p.server.buffer->data, &r, sizeof r);
    (void)m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{abi::kFaultResumeRegs, 0, 0}.raw, 0, 0, 0, 0,
                 p.reply);
    REQUIRE(p.client.running_on() != nullptr);
    CHECK(p.client.user.rip == 0xabc000);
    CHECK((p.client.user.rflags & 0x3100) == 0);  // no IOPL, no TF
    CHECK((p.client.user.rflags & 0x200) != 0);
    fault(p.client, 6);
    (void)m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{1, 0, 0}.raw, 0, 0, 0, 0, p.reply);
    CHECK(p.client.running_on() == nullptr);
    CHECK(p.client.suspended == 1);
    p.root_wakes();
    CHECK(m.call(Call::ThreadResume, m.cap_of(p.client)).status == Status::Ok);
    p.set(p.client, ThreadSlot::FaultEndpoint, 0);
    fake::state.uart.clear();
    p.root_sleeps();
    REQUIRE(p.client.running_on() != nullptr);
    fault(p.client, 13);
    CHECK(p.client.running_on() == nullptr);
    CHECK(fake::state.uart.find("stopped by exception 13") != std::string::npos);
}

TEST_CASE("Faults of four words: no registers travel, the handler moves RIP, waiting or not") {
    for (const bool waiting : {true, false}) {
        Pair p;
        Machine& m = p.m;
        p.root_wakes();
        const uint64_t plain = m.free_slot();
        REQUIRE(m.call(Call::CapCopy, plain, p.badged, rights::kWrite).status == Status::Ok);
        p.set(p.client, ThreadSlot::FaultEndpoint, plain);
        if (!waiting) REQUIRE(m.call(Call::ThreadSuspend, m.cap_of(p.server)).status == Status::Ok);
        p.root_sleeps();
        memset(p.server.buffer->data, 0xee, sizeof(abi::ThreadRegisters));
        const auto fault = [&] {
            REQUIRE(p.client.running_on() != nullptr);
            p.client.user.rip = 0x9000;
            p.client.user.rbx = 42;
            p.client.user.vector = 6;
            core::handle_exception(*p.client.running_on());
            CHECK(p.client.running_on() == nullptr);
        };
        fault();
        if (!waiting) {
            p.root_wakes();
            REQUIRE(m.call(Call::ThreadResume, m.cap_of(p.server)).status == Status::Ok);
            p.root_sleeps();
            REQUIRE(p.server.running_on() != nullptr);
            (void)m.call(p.server, Call::IpcRecv, p.e, 0, 0, 0, 0, 0, p.reply);
        }
        REQUIRE(p.server.running_on() != nullptr);
        CHECK(p.server.user.rdi == 77);
        CHECK(p.server.user.rsi == MessageTag{abi::kFaultLabel, 4, 0}.raw);
        CHECK((p.server.user.rdx == 0x9000 && p.server.user.r10 == 0 && p.server.user.r9 == 6));
        for (size_t i = 0; i < sizeof(abi::ThreadRegisters); ++i) REQUIRE(p.server.buffer->data[i] == 0xee);

        const auto answer = [&](uint64_t label, uint64_t word) {
            (void)m.call(p.server, Call::IpcReplyRecv, p.e, MessageTag{label, 0, 0}.raw, word, 99, 99, 99,
                         p.reply);
        };
        const UserContext before = p.client.user;
        answer(abi::kFaultResumeAt, 0x9002);
        REQUIRE(p.client.running_on() != nullptr);
        CHECK(p.client.user.rip == 0x9002);
        CHECK(p.client.in_fault == 0);
        CHECK(
            (p.client.user.rdx == before.rdx && p.client.user.rbx == 42 && p.client.user.r10 == before.r10));
        CHECK(p.server.state == ThreadState::Receiving);
        fault();
        answer(abi::kFaultResume, 0x9002);
        CHECK(p.client.user.rip == 0x9000);
        fault();
        answer(abi::kFaultResumeAt, abi::kUserEnd);  // not where a thread can be
        CHECK(p.client.running_on() == nullptr);
        CHECK(p.client.suspended == 1);
        CHECK(p.client.user.rip == 0x9000);
    }
}

TEST_CASE("vcpu_run: parts, exit, kick, deadline, preemption, loss of what it needs") {
    Pair p;
    Machine& m = p.m;
    p.root_wakes();
    const uint64_t v = m.make(ObjectType::Vcpu), page = m.make(ObjectType::Frame, 12),
                   groot = m.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, 4));
    const uint64_t kick = m.make(ObjectType::Notification), bit = m.free_slot();
    REQUIRE(m.call(Call::CapMint, bit, kick, rights::kAll, 2).status == Status::Ok);
    CHECK(m.call(Call::VcpuRun, v, abi::kDeadlineNever).status == Status::NotReady);
    CHECK(m.call(Call::VcpuSet, v, 0, groot).status == Status::WrongType);
    CHECK(m.call(Call::VcpuSet, v, 1, abi::root::kVSpace).status == Status::BadArgument);
    CHECK(m.call(Call::VcpuSet, v, 3, page).status == Status::BadArgument);
    CHECK(m.call(Call::VcpuSet, v, 0, page).status == Status::Ok);
    CHECK(m.call(Call::VcpuSet, v, 1, groot).status == Status::Ok);
    CHECK(m.call(Call::VcpuSet, v, 2, kick).status == Status::Ok);
    core::Vcpu& vcpu = *m.slot(v).as<core::Vcpu>();
    p.root_sleeps();
    core::Thread& t = p.client;
    const auto run = [&](uint64_t deadline = abi::kDeadlineNever) {
        return m.call(t, Call::VcpuRun, v, deadline).status;
    };
    (void)run();
    REQUIRE(t.guest == &vcpu);
    CHECK(t.running_on() == &m.cpu[0]);
    core::handle_vcpu_exit(m.cpu[0], vcpu, abi::ExitReason::Cpuid);
    CHECK(t.guest == nullptr);
    CHECK(p.status(t) == Status::Ok);
    CHECK(t.user.rdx == static_cast<uint64_t>(abi::ExitReason::Cpuid));

    (void)run();  // kicked from an interrupt on the same CPU
    core::sys.here = &m.cpu[0];
    core::signal(*m.slot(bit).as<core::Notification>(), 2);
    m.resched(0);
    CHECK(p.status(t) == Status::Notified);
    CHECK(t.user.rdx == 2);
    CHECK(vcpu.page->reason == abi::ExitReason::Notified);
    CHECK(m.call(t, Call::Signal, bit).status == Status::Ok);
    CHECK(run() == Status::Notified);  // kicked before it ran: no lost wake-up
    CHECK(run(fake::state.clock) == Status::Timeout);
    (void)run(fake::state.clock + 500);
    CHECK(t.guest != nullptr);
    m.advance(0, 501);
    CHECK(p.status(t) == Status::Timeout);
    CHECK(t.guest == nullptr);

    (void)run();  // preempted: the guest goes on later; a kick meanwhile is seen before that
    p.root_wakes();
    CHECK(t.guest != nullptr);
    CHECK(t.running_on() == nullptr);
    REQUIRE(m.call(Call::Signal, bit).status == Status::Ok);
    p.root_sleeps();
    CHECK(t.running_on() != nullptr);
    CHECK(p.status(t) == Status::Notified);

    (void)run();  // the guest's memory is taken away
    p.root_wakes();
    CHECK(m.call(Call::CapRevoke, groot).status == Status::Ok);
    CHECK(p.status(t) == Status::NotReady);
    CHECK(vcpu.guest_root == nullptr);
    CHECK(m.call(Call::VcpuSet, v, 1, groot).status == Status::Ok);
    p.root_sleeps();
    fake::state.vcpu_status = Status::VcpuInvalid;
    CHECK(run() == Status::VcpuInvalid);
    CHECK(t.user.rdx == 77);
    fake::state.vcpu_status = Status::Ok;
    (void)run();
    p.root_wakes();
    CHECK(m.call(Call::CapDelete, v).status == Status::Ok);
    CHECK(p.status(t) == Status::PeerGone);
    CHECK(t.guest == nullptr);
}
