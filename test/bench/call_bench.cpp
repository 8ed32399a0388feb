// SPDX-License-Identifier: Apache-2.0
// Null system call, call and reply, signals.
#include "test/bench/measure.hpp"
#include "test/bench/stage.hpp"

namespace bulkhead::bench {

namespace {

using abi::ObjectType;

using stage::near;

void call_reply(const char* name, bool own_space, bool passive) {
    stage::Side server{{.own_space = own_space}};
    const auto endpoint_here = near<cap::Endpoint>(server.make(ObjectType::Endpoint));
    const auto reply_here = near<cap::Reply>(server.make(ObjectType::Reply));
    const CapAddr endpoint = endpoint_here.address(),
                  endpoint_there = server.give(10, endpoint, abi::rights::kAll),
                  reply_there = server.give(11, reply_here.address(), abi::rights::kAll);
    server.start(stage::side_echo, endpoint_there.raw, reply_there.raw);
    const cap::Message message{abi::MessageTag{1, 2, 0}, {17, 4, 0, 0}};
    const cap::IpcResult first = sys::ipc_call(endpoint, message);
    if (!first.ok() || first.w[0] != 17 || first.w[1] != 4) stage::fail("a call came back wrong");
    if (passive) {
        stage::require(sys::thread_set(server.thread(), abi::ThreadSlot::SchedContext, CapAddr{}),
                       "making the server passive");
    }
    measure(
        name, [&]() __attribute__((always_inline)) { cap::drop(sys::ipc_call(endpoint, message).status); });
}

// One round: our signal wakes the partner, its signal wakes us.
void ping_pong(const char* name, bool own_space) {
    stage::Side partner{{.own_space = own_space}};
    const auto ping_here = near<cap::Notification>(partner.make(ObjectType::Notification)),
               pong_here = near<cap::Notification>(partner.make(ObjectType::Notification));
    const CapAddr ping = ping_here.address(), pong = pong_here.address(),
                  pong_there = partner.give(11, pong, abi::rights::kAll, 1);
    const auto signal = stage::machine().env.cspace.mint<cap::Notification>(ping, abi::rights::kWrite, 1);
    if (!signal) stage::fail("minting a signal");
    partner.start(stage::side_pong, partner.give(12, ping, abi::rights::kAll).raw, pong_there.raw);
    const CapAddr to = signal->address();
    measure(
        name, [&]() __attribute__((always_inline)) {
            cap::drop(sys::signal(to));
            cap::drop(sys::wait(pong, abi::kDeadlineNever));
        });
}

}  // namespace

void call_benchmarks() {
    measure(
        "kernel.null_syscall", []() __attribute__((always_inline)) { cap::drop(sys::null_call()); });
    call_reply("kernel.call_reply_cross", true, false);
    call_reply("kernel.call_reply_same", false, false);
    call_reply("kernel.call_reply_cross_passive", true, true);
}

void notification_benchmarks() {
    {
        auto& env = stage::machine().env;
        const auto notification = env.memory.create<cap::Notification>();
        if (!notification) stage::fail("making a notification");
        const auto badged =
            env.cspace.mint<cap::Notification>(notification->address(), abi::rights::kWrite, 1);
        if (!badged) stage::fail("minting a signal");
        const CapAddr to = badged->address();
        measure(
            "kernel.signal_no_waiter", [&]() __attribute__((always_inline)) { cap::drop(sys::signal(to)); });
    }
    ping_pong("kernel.notification_pingpong_cross", true);
    ping_pong("kernel.notification_pingpong_same", false);
}

}  // namespace bulkhead::bench
