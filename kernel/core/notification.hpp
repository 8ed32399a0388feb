// SPDX-License-Identifier: Apache-2.0
// A word of signal bits with a FIFO of waiting threads. May be bound to one thread (ends its receive) or one
// vCPU (ends its run). Signals cross CPUs; nothing else of IPC does.
#pragma once

#include "kernel/core/object.hpp"

namespace bulkhead::core {

struct Thread;
struct Vcpu;

struct Notification {
    Object header;
    uint64_t bits;
    Thread* head;  // waiters
    Thread* tail;
    Thread* bound_thread;  // its receive ends when bits are set
    Vcpu* bound_vcpu;      // its run ends when bits are set
    uint64_t unused[3];
};
static_assert(sizeof(Notification) == 128);

}  // namespace bulkhead::core
