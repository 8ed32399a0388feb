// SPDX-License-Identifier: Apache-2.0
// Per-CPU data, and waking the other CPUs by INIT and SIPI.
#pragma once

#include "abi/bootinfo.hpp"
#include "kernel/init/early_memory.hpp"

namespace bulkhead::init {
void prepare_cpu(uint32_t id, uint32_t apic_id, EarlyMemory&);  // fills arch::cpu_locals[id]
void start_cpus(const abi::BootInfo&, EarlyMemory&);
}  // namespace bulkhead::init
