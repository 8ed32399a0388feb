// SPDX-License-Identifier: Apache-2.0
// One level of a page table: the 4 KiB table that the CPU walks, and behind it (same object, next page) this
// header with a back-pointer per entry to the slot that is mapped there, so that destroying a table unmaps
// what it maps, in the slots too.
#pragma once

#include "kernel/core/arch.hpp"
#include "kernel/core/object.hpp"

namespace bulkhead::core {

using abi::TableKind;

// Object in memory: [0, 4096) the hardware table, [4096, 8192) PageTable.
struct alignas(4096) PageTable {
    Object header;
    TableKind kind;
    uint8_t level;          // 4: root
    uint16_t used;          // entries in use by user level
    uint16_t parent_index;  // where it is mapped
    uint16_t spare;
    PageTable* parent;  // nullptr: not mapped, or a root
    uint64_t address;   // first address that it translates, when mapped

    // Roots only; arch maintains them. `cpus`: may hold translations of this root (arch sets the bit before
    // it loads the root and may clear it when the CPU can hold none any more). core passes it to
    // tlb_shootdown and never clears it.
    uint64_t cpus;
    uint64_t arch_word[2];  // generation, ASID cache: arch's business; zero in a new table

    // Slot addresses are 64-byte aligned and below 2^46 physical: 40 bits each. 0: entry not in use by a
    // slot.
    uint32_t back_low[512];
    uint8_t back_high[512];

    uint64_t* entries() { return reinterpret_cast<uint64_t*>(reinterpret_cast<char*>(this) - 4096); }
    PhysAddr physical() { return arch::virt_to_phys(entries()); }
};
static_assert(sizeof(PageTable) == 4096);

}  // namespace bulkhead::core
