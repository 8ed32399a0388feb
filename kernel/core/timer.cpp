// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/timer.hpp"

namespace bulkhead::core {

namespace {

// Links two trees; returns the earlier root.
Timer* meld(Timer* a, Timer* b) {
    if (a == nullptr) return b;
    if (b == nullptr) return a;
    if (b->deadline < a->deadline) {
        Timer* t = a;
        a = b;
        b = t;
    }
    b->back = a;
    b->sibling = a->child;
    if (a->child != nullptr) a->child->back = b;
    a->child = b;
    return a;
}

// The two passes of a pairing heap over a list of siblings: pair from left to right, then meld from right to
// left.
Timer* combine(Timer* first) {
    Timer* pairs = nullptr;  // melded pairs, last one first, linked by `sibling`
    while (first != nullptr) {
        Timer* a = first;
        Timer* b = a->sibling;
        first = b != nullptr ? b->sibling : nullptr;
        a->sibling = a->back = nullptr;
        if (b != nullptr) b->sibling = b->back = nullptr;
        Timer* pair = meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    Timer* result = nullptr;
    while (pairs != nullptr) {
        Timer* rest = pairs->sibling;
        pairs->sibling = nullptr;
        result = meld(result, pairs);
        pairs = rest;
    }
    return result;
}

}  // namespace

void TimerHeap::insert(Timer& timer, uint64_t deadline) {
    timer.deadline = deadline;
    timer.child = timer.sibling = timer.back = nullptr;
    timer.heap = this;
    top = meld(top, &timer);
}

void TimerHeap::remove(Timer& timer) {
    TimerHeap* heap = timer.heap;
    if (heap == nullptr) return;
    Timer* rest = combine(timer.child);
    if (heap->top == &timer) {
        heap->top = rest;
    } else {
        // `back` is the parent of a first child, the previous sibling of any other.
        if (timer.back->child == &timer) {
            timer.back->child = timer.sibling;
        } else {
            timer.back->sibling = timer.sibling;
        }
        if (timer.sibling != nullptr) timer.sibling->back = timer.back;
        heap->top = meld(heap->top, rest);
    }
    timer = Timer{.deadline = timer.deadline,
                  .child = nullptr,
                  .sibling = nullptr,
                  .back = nullptr,
                  .heap = nullptr,
                  .kind = timer.kind};
}

}  // namespace bulkhead::core
