// SPDX-License-Identifier: Apache-2.0
// The portable state of one CPU. arch embeds it in its own per-CPU data; core finds all of them in
// System::cpu[].
#pragma once

#include "kernel/core/arch.hpp"
#include "kernel/core/sched.hpp"

namespace bulkhead::core {

struct Cpu {
    Thread* current;  // what runs when the kernel is left; nullptr: idle
    CpuId id;
    uint32_t need_schedule;  // something changed: core looks for the best thread before it returns to arch
    uint32_t rotate;         // and the running one goes behind its equals
    SchedContext* charged;   // whose time is running since `charged_since`; nullptr: idle time
    uint64_t charged_since;
    uint64_t timer_at;  // when the hardware timer fires: perhaps earlier than needed, never later
    ReadyQueue ready;
    TimerHeap timers;
};

}  // namespace bulkhead::core
