// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/ipc_probe.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "lib/runtime/thread_block.hpp"

namespace bulkhead::dom0 {
namespace {

using abi::MessageTag;
using abi::ThreadSlot;
using cap::CapAddr;
using cap::Status;

enum Label : std::uint64_t { kEcho = 1, kStop = 2 };
constexpr unsigned kBatches = 32, kBatch = 256;
constexpr std::uint64_t kMostMs = 5000;

struct Probe {
    CapAddr endpoint, reply, done, context;
    std::atomic<std::uint64_t> server{0};  // its thread
    Status status = Status::NotReady;
    std::uint64_t ticks = ~std::uint64_t{0};
};

cap::IpcResult call(const Probe& probe, Label label) {
    return cap::sys::ipc_call(probe.endpoint, {MessageTag{label, 2, 0}, {17, 4, 0, 0}});
}

// Ends when it is told to, or when the endpoint is destroyed.
void serve(Probe& probe) {
    probe.server = runtime::own_thread().raw;
    auto m = cap::sys::ipc_recv(probe.endpoint, probe.reply, abi::kDeadlineNever);
    while (m.ok() && m.tag.label() == kEcho)
        m = cap::sys::ipc_reply_recv(probe.endpoint, {m.tag, {m.w[0], m.w[1], 0, 0}}, probe.reply,
                                     abi::kDeadlineNever);
    if (m.ok()) cap::drop(cap::sys::ipc_reply(probe.reply, {m.tag, {}}));
}

// The best of several batches: whatever else runs on that CPU only adds.
Status best_batch(Probe& probe) {
    for (unsigned batch = 0; batch < kBatches; batch++) {
        const std::uint64_t start = cap::read_tsc();
        for (unsigned i = 0; i < kBatch; i++)
            if (const auto answer = call(probe, kEcho); !answer.ok() || answer.w[0] != 17)
                return answer.ok() ? Status::BadArgument : answer.status;
        probe.ticks = std::min(probe.ticks, (cap::read_tsc() - start) / kBatch);
    }
    return Status::Ok;
}

void measure(Probe& probe) {
    const CapAddr self = runtime::own_thread();
    probe.status = cap::sys::thread_set(self, ThreadSlot::SchedContext, probe.context);
    if (probe.status == Status::Ok) probe.status = best_batch(probe);
    // The personality uses a thread again for whoever comes next.
    cap::drop(cap::sys::thread_set(self, ThreadSlot::SchedContext, cap::kOwnSchedContext));
    cap::drop(cap::sys::signal(probe.done));
}

}  // namespace

cap::Expected<std::uint64_t> measure_ipc(cap::Environment& env, CapAddr context) {
    auto endpoint = env.memory.create<cap::Endpoint>();
    auto reply = env.memory.create<cap::Reply>();
    auto done = env.memory.create<cap::Notification>();
    if (!endpoint || !reply || !done) return std::unexpected{Status::OutOfMemory};
    auto signal = env.cspace.mint<cap::Notification>(done->address(), abi::rights::kWrite, 1);
    if (!signal) return std::unexpected{signal.error()};
    Probe probe{endpoint->address(), reply->address(), signal->address(), context};

    std::thread server{[&] { serve(probe); }};
    Status status = call(probe, kEcho).status;  // its thread is known now, and receives again
    const CapAddr thread{probe.server};
    // Passive, it runs on its callers' time, and so on their CPU.
    if (status == Status::Ok) status = cap::sys::thread_set(thread, ThreadSlot::SchedContext, CapAddr{});
    if (status == Status::Ok) {
        std::thread client{[&] { measure(probe); }};
        status = cap::sys::wait(done->address(), env.clock.deadline_in_ms(kMostMs)).status;
        if (status != Status::Ok) endpoint->reset(), reply->reset();
        client.join();
        if (status == Status::Ok) status = probe.status;
    }
    cap::drop(cap::sys::thread_set(thread, ThreadSlot::SchedContext, cap::kOwnSchedContext));
    if (*endpoint && call(probe, kStop).status != Status::Ok) endpoint->reset();
    server.join();
    if (status != Status::Ok) return std::unexpected{status};
    return probe.ticks;
}

}  // namespace bulkhead::dom0
