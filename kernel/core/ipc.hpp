// SPDX-License-Identifier: Apache-2.0
// Synchronous IPC: Endpoint (callers or receivers wait in it) and Reply (one caller parks in it until it is
// answered).
#pragma once

#include "kernel/core/object.hpp"

namespace bulkhead::core {

struct Thread;

struct Endpoint {
    Object header;
    Thread* head;  // FIFO; all callers or all receivers
    Thread* tail;
    uint64_t receivers;  // 1: the queue holds receivers
    uint64_t unused[5];
};
static_assert(sizeof(Endpoint) == 128);

struct Reply {
    Object header;
    Thread* caller;    // waits for the answer
    Thread* receiver;  // waits in a receive that named this Reply
    uint64_t unused[6];
};
static_assert(sizeof(Reply) == 128);

}  // namespace bulkhead::core
