// SPDX-License-Identifier: Apache-2.0
// What outlives boot code but runs once: where the other CPUs arrive, and the first step into the root task.
#pragma once

namespace bulkhead::arch {
struct CpuLocal;
[[noreturn]] void start_other_cpu(CpuLocal*);
void setup_this_cpu(CpuLocal&);
[[noreturn]] void enter_root_task();  // lock not held; gives up boot code
}  // namespace bulkhead::arch
