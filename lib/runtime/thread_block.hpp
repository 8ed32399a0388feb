// SPDX-License-Identifier: Apache-2.0
// What the GS base of every thread points to. The first two words are an interface: lib/cap reads
// `ipc_buffer` at GS:8.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "abi/syscall.hpp"

namespace bulkhead::runtime {

struct ThreadBlock;

// A thread that sleeps on a futex is in one queue, by its block.
struct FutexWait {
    ThreadBlock* next;
    uint64_t address;
    uint32_t bitset;
    bool queued;
};

// Linux registers of a clone's child, loaded by `child_start`; the order is that of entry.S.
struct ChildRegisters {
    uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, rip;
};

struct ThreadBlock {
    ThreadBlock* self;           // GS:0
    abi::IpcBuffer* ipc_buffer;  // GS:8
    uint64_t exit_stack;  // GS:16: top of a small stack for leaving (the program's may be freed by a joiner)
    uint32_t tid;
    uint32_t alive;                 // 0: never started, or the kernel has let go of it
    uint64_t thread, notification;  // CapAddr
    uint64_t clear_tid;             // address that exit stores 0 to and wakes
    FutexWait wait;
    ChildRegisters child;
    ThreadBlock* next;  // all blocks, in order of making
    bool used;
};
static_assert(offsetof(ThreadBlock, ipc_buffer) == 8 && offsetof(ThreadBlock, exit_stack) == 16);

// The calling thread's own capability.
inline abi::CapAddr own_thread() {
    const ThreadBlock* block;
    asm("movq %%gs:0, %0" : "=r"(block));
    return abi::CapAddr{block->thread};
}

}  // namespace bulkhead::runtime
