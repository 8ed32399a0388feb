// SPDX-License-Identifier: Apache-2.0
// Loading an address space. Inline, because fast_entry.cpp is compiled with some registers set aside.
#pragma once

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/core/page_table.hpp"

namespace bulkhead::arch {

inline void load_root(CpuLocal& cpu, core::PageTable* root) {
    root->cpus |= cpu.bit;
    cpu.root = root;
    uint64_t value = direct_physical(root->entries());
    if (features.pcid) {
        const PcidCache::Choice choice = cpu.pcids.choose(root, epoch_of(*root));
        value |= choice.pcid | (choice.keep ? cr3::kKeep : 0);
    }
    write_cr3(value);
    ++cpu.counters.cr3;
}

}  // namespace bulkhead::arch
