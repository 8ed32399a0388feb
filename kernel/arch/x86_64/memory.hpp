// SPDX-License-Identifier: Apache-2.0
// Physical and virtual addresses of the kernel, and the roots of address spaces.
#pragma once

#include "kernel/arch/x86_64/layout.h"
#include "kernel/core/arch.hpp"
#include "kernel/core/page_table.hpp"

extern "C" {
extern char image_start[], text_start[], text_end[], rodata_start[], rodata_end[], data_start[], data_end[],
    init_start[], init_end[], image_end[];
}

namespace bulkhead::arch {

struct CpuLocal;

// Set by boot code, constant afterwards.
struct KernelMemory {
    uint64_t image_physical;  // where the image's first byte lies
    uint64_t* root;           // the kernel's own level-4 table (direct map address)
    uint64_t root_physical;
    uint64_t window_next;  // next free address of the window area
};
extern KernelMemory kernel_memory;

inline uint64_t direct_physical(const void* in_direct_map) {
    return reinterpret_cast<uint64_t>(in_direct_map) - K_DIRECT_BASE;
}
inline void* direct(uint64_t physical) {
    return reinterpret_cast<void*>(physical + K_DIRECT_BASE);
}

namespace pte {
inline constexpr uint64_t kPresent = 1, kWrite = 2, kUser = 4, kWriteThrough = 8, kUncached = 16,
                          kAccessed = 32, kDirty = 64, kLarge = 128, kGlobal = 256, kNoExecute = 1ull << 63;
inline constexpr uint64_t kAddress = 0x000ffffffffff000;
}  // namespace pte

// Host and guest roots carry an epoch in arch_word[0]: a number that no other root ever had, a new one after
// each removal.
extern uint64_t last_epoch;  // kernel lock
inline void advance_epoch(core::PageTable& root) {
    root.arch_word[0] = ++last_epoch;
}
inline uint64_t epoch_of(core::PageTable& root) {
    if (root.arch_word[0] == 0) advance_epoch(root);
    return root.arch_word[0];
}

void use_kernel_root(CpuLocal&);  // when idle, or when the loaded root is about to go

}  // namespace bulkhead::arch
