// SPDX-License-Identifier: Apache-2.0
// Scheduling contexts and the ready queue of one CPU.
//
//   ReadyQueue: bitmap of 64 priorities -> round-robin ring of SchedContexts -> FIFO of ready threads of each
//
// The running thread is in no queue, so that a direct switch (IPC) touches none. A SchedContext is in its
// ring while its FIFO is not empty, it is not paused and has budget.
#pragma once

#include "kernel/core/object.hpp"
#include "kernel/core/timer.hpp"

namespace bulkhead::core {

struct Thread;
struct Cpu;

struct alignas(64) SchedContext {
    Object header;
    uint32_t cpu;
    uint8_t paused;
    uint8_t throttled;  // budget used up, waits for the replenishment timer
    uint16_t zero;
    uint8_t priority;
    uint8_t queued;  // is in its CPU's ring
    uint32_t weight;
    uint32_t configured;                   // 0 until SchedConfigure
    uint64_t quantum;                      // ticks per round: base quantum scaled by weight
    uint64_t slice_left;                   // of the current round
    uint64_t budget, period, budget_left;  // ticks; budget 0: unlimited
    uint64_t period_start;
    uint64_t consumed;   // ticks, ever
    Thread* ready_head;  // FIFO of ready threads
    Thread* ready_tail;
    Thread* users;       // threads that run on it: by their slot or by donation
    SchedContext* next;  // ring of one priority
    SchedContext* previous;
    Timer replenish;

    // Belongs to that CPU, neither paused nor throttled: one comparison.
    bool runs_on(uint64_t id) const {
        uint64_t both;
        __builtin_memcpy(&both, &cpu, sizeof both);
        return both == id;
    }
};
static_assert(__builtin_offsetof(SchedContext, priority) == __builtin_offsetof(SchedContext, cpu) + 8);

struct ReadyQueue {
    uint64_t bitmap;  // bit p: ring[p] is not empty
    SchedContext* ring[abi::kPriorities];
};

}  // namespace bulkhead::core
