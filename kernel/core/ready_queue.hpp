// SPDX-License-Identifier: Apache-2.0
// Putting threads into the ready queue, for sched.cpp and the fast paths: always inline, see fastpath.hpp.
#pragma once

#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

[[gnu::always_inline]] inline bool runnable(const SchedContext& s) {
    return s.paused == 0 && s.throttled == 0;
}

[[gnu::always_inline]] inline void ring_add(Cpu& cpu, SchedContext& s, bool front) {
    SchedContext*& ring = cpu.ready.ring[s.priority];
    if (ring == nullptr) {
        s.next = s.previous = ring = &s;
        cpu.ready.bitmap |= uint64_t{1} << s.priority;
    } else {
        s.next = ring;
        s.previous = ring->previous;
        s.previous->next = &s;
        ring->previous = &s;
        if (front) ring = &s;
    }
    s.queued = 1;
}

[[gnu::always_inline]] inline void fifo_add(SchedContext& s, Thread& t, bool front) {
    t.ready_linked = 1;
    t.ready_next = t.ready_previous = nullptr;
    if (s.ready_head == nullptr) {
        s.ready_head = s.ready_tail = &t;
    } else if (front) {
        t.ready_next = s.ready_head;
        s.ready_head->ready_previous = &t;
        s.ready_head = &t;
    } else {
        t.ready_previous = s.ready_tail;
        s.ready_tail->ready_next = &t;
        s.ready_tail = &t;
    }
}

// Queues a thread that is Ready and not running. Returns whether its SchedContext came into the ring by it.
[[gnu::always_inline]] inline void enqueue(Thread& t, bool front) {
    SchedContext& s = *t.sched;
    Cpu& cpu = *sys.cpu[s.cpu];
    fifo_add(s, t, front);
    if (s.queued == 0 && runnable(s)) ring_add(cpu, s, front || cpu.charged == &s);
}

// When does something have to happen for the running SchedContext?
[[gnu::always_inline]] inline uint64_t limit_of(const Cpu& cpu, const SchedContext& s) {
    uint64_t ticks = abi::kDeadlineNever;
    if (s.budget != 0) ticks = s.budget_left;
    const SchedContext* ring = cpu.ready.ring[s.priority];
    const bool rivals = s.ready_head != nullptr || (ring != nullptr && (ring != &s || ring->next != &s));
    if (rivals && s.slice_left < ticks) ticks = s.slice_left;
    return ticks == abi::kDeadlineNever ? ticks : cpu.charged_since + ticks;
}

}  // namespace bulkhead::core
