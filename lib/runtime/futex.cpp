// SPDX-License-Identifier: Apache-2.0
// Futexes: a table of queues by address; a waiter sleeps on its own thread's Notification. Under futex_lock.
// A waker takes the waiter out of its queue, then signals: so a waiter that timed out but finds itself
// dequeued was woken, and takes the signal that is on its way before it returns.
#include "lib/runtime/state.hpp"

namespace bulkhead::runtime {

namespace {

enum : uint64_t {
    kWait = 0,
    kWake = 1,
    kWaitBitset = 9,
    kWakeBitset = 10,
    kCommand = 0x7f,
    kRealtime = 0x100
};
constexpr unsigned kQueues = 64;

struct Queue {
    ThreadBlock* head;
    ThreadBlock* tail;
};
constinit Queue queues[kQueues]{};

Queue& queue_of(uint64_t address) {
    return queues[(address * 0x9e3779b97f4a7c15u) >> 58];
}

void append(Queue& queue, ThreadBlock& block) {
    block.wait.next = nullptr;
    block.wait.queued = true;
    if (queue.tail)
        queue.tail->wait.next = &block;
    else
        queue.head = &block;
    queue.tail = &block;
}

void remove(Queue& queue, ThreadBlock& block) {
    ThreadBlock* before = nullptr;
    for (ThreadBlock* b = queue.head; b != &block; b = b->wait.next) before = b;
    if (before)
        before->wait.next = block.wait.next;
    else
        queue.head = block.wait.next;
    if (queue.tail == &block) queue.tail = before;
    block.wait.queued = false;
}

uint32_t wake(uint64_t address, uint32_t count, uint32_t bitset) {
    Queue& queue = queue_of(address);
    uint32_t woken = 0;
    for (ThreadBlock* b = queue.head; b && woken < count;) {
        ThreadBlock* const next = b->wait.next;
        if (b->wait.address == address && (b->wait.bitset & bitset)) {
            remove(queue, *b);
            cap::drop(sys::signal(CapAddr{b->notification}));
            ++woken;
        }
        b = next;
    }
    return woken;
}

int64_t wait(uint64_t address, uint32_t expected, uint32_t bitset, uint64_t deadline) {
    ThreadBlock& block = current();
    Queue& queue = queue_of(address);
    {
        const Locked lock{state.futex_lock};
        if (__atomic_load_n(reinterpret_cast<const uint32_t*>(address), __ATOMIC_SEQ_CST) != expected)
            return kAgain;
        block.wait.address = address;
        block.wait.bitset = bitset;
        append(queue, block);
    }
    for (;;) {
        const cap::Result r = sys::wait(CapAddr{block.notification}, deadline);
        const Locked lock{state.futex_lock};
        if (!block.wait.queued) {
            if (!r.ok()) cap::drop(sys::wait(CapAddr{block.notification}, abi::kDeadlinePoll));
            return 0;
        }
        if (r.status == Status::Timeout) {
            remove(queue, block);
            return kTimedOut;
        }
    }
}

}  // namespace

void futex_wake_address(uint64_t address, uint32_t count) {
    const Locked lock{state.futex_lock};
    wake(address, count, ~0u);
}

extern "C" int64_t call_futex(uint64_t address, uint64_t operation, uint64_t value, const Timespec* timeout,
                              uint64_t, uint64_t bits) {
    const uint64_t command = operation & kCommand;
    const uint32_t bitset =
        command == kWaitBitset || command == kWakeBitset ? static_cast<uint32_t>(bits) : ~0u;
    if (bitset == 0 || address % 4) return kInvalid;
    if (command == kWake || command == kWakeBitset) {
        const Locked lock{state.futex_lock};
        return wake(address, static_cast<uint32_t>(value), bitset);
    }
    if (command != kWait && command != kWaitBitset) return kNoSys;
    uint64_t deadline = abi::kDeadlineNever;
    if (timeout) {
        if (timeout->nanoseconds < 0 || timeout->nanoseconds >= 1'000'000'000) return kInvalid;
        if (timeout->seconds < 0) return command == kWait ? int64_t{kInvalid} : int64_t{kTimedOut};
        const uint64_t seconds = static_cast<uint64_t>(timeout->seconds);
        uint64_t ns = seconds > 9'000'000'000
                          ? ~uint64_t{0} >> 1
                          : seconds * 1'000'000'000 + static_cast<uint64_t>(timeout->nanoseconds);
        if (command == kWait)
            ns += monotonic_ns();
        else if (operation & kRealtime)
            ns = ns > state.wall_offset ? ns - state.wall_offset : 0;
        deadline = deadline_of(ns);
    }
    return wait(address, static_cast<uint32_t>(value), bitset, deadline);
}

}  // namespace bulkhead::runtime
