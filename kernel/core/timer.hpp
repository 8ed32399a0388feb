// SPDX-License-Identifier: Apache-2.0
// Deadlines: an intrusive pairing heap per CPU. Insert O(1), minimum O(1), remove O(log n) amortised, no
// recursion, no memory. Concurrency: the kernel lock; a timer may be removed from another CPU's heap.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::core {

struct TimerHeap;

enum class TimerKind : uint8_t { Thread, SchedContext };

struct Timer {
    uint64_t deadline;
    Timer* child;  // heap links: first child, next sibling, and previous sibling or parent
    Timer* sibling;
    Timer* back;
    TimerHeap* heap;  // nullptr: not armed
    TimerKind kind;

    bool armed() const { return heap != nullptr; }
};

struct TimerHeap {
    Timer* top;

    uint64_t earliest() const { return top != nullptr ? top->deadline : abi::kDeadlineNever; }
    void insert(Timer& timer, uint64_t deadline);  // timer is not armed
    static void remove(Timer& timer);              // no-op when not armed
};

}  // namespace bulkhead::core
