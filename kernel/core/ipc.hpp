// SPDX-License-Identifier: Apache-2.0
// Synchronous IPC: Endpoint (callers or receivers wait in it) and Reply (one caller parks in it until it is
// answered).
#pragma once

#include "kernel/core/object.hpp"

namespace bulkhead::core {

struct Thread;

struct Endpoint {
    Object header;
    // FIFOs: of callers or of receivers, never of both.
    Thread* callers;
    Thread* receivers;
    Thread* tail;  // of the one that is not empty
    uint64_t unused[5];
};
static_assert(sizeof(Endpoint) == 128);

struct Reply {
    Object header;
    // Its state says what for: Replying: it is the caller and waits for the answer; Receiving: it waits in a
    // receive that named this Reply.
    Thread* thread;
    uint64_t unused[7];

    Thread* caller() const;  // kernel.hpp
    Thread* receiver() const;
};
static_assert(sizeof(Reply) == 128);

}  // namespace bulkhead::core
