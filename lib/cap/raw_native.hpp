// SPDX-License-Identifier: Apache-2.0
// The `syscall` instruction as a function. Included by lib/cap/syscall.hpp in stub domains and in the
// personality blob; host tests get raw_fake.hpp instead. Thread-safe; nothing here touches memory but the
// results.
#pragma once

#include "abi/syscall.hpp"

namespace bulkhead::cap {

// Every register that a call reads or writes. a[0..5] are RDI RSI RDX R10 R8 R9.
struct RawCall {
    uint64_t number = 0;  // in: call number; out: Status
    uint64_t a[6] = {};
    uint64_t reply = 0, deadline = 0;  // R12, R13
};

// Calls without R12/R13. Results come back in RDX R10 R8 R9; RDI and RSI are kept by the kernel except in
// IPC.
[[gnu::always_inline]] inline void raw_call(RawCall& c) {
    register uint64_t r10 asm("r10") = c.a[3];
    register uint64_t r8 asm("r8") = c.a[4];
    register uint64_t r9 asm("r9") = c.a[5];
    asm volatile("syscall"
                 : "+a"(c.number), "+D"(c.a[0]), "+S"(c.a[1]), "+d"(c.a[2]), "+r"(r10), "+r"(r8), "+r"(r9)
                 :
                 : "rcx", "r11", "memory");
    c.a[3] = r10;
    c.a[4] = r8;
    c.a[5] = r9;
}

[[gnu::always_inline]] inline void raw_ipc(RawCall& c) {
    register uint64_t r10 asm("r10") = c.a[3];
    register uint64_t r8 asm("r8") = c.a[4];
    register uint64_t r9 asm("r9") = c.a[5];
    register uint64_t r12 asm("r12") = c.reply;
    register uint64_t r13 asm("r13") = c.deadline;
    asm volatile("syscall"
                 : "+a"(c.number), "+D"(c.a[0]), "+S"(c.a[1]), "+d"(c.a[2]), "+r"(r10), "+r"(r8), "+r"(r9),
                   "+r"(r12), "+r"(r13)
                 :
                 : "rcx", "r11", "memory");
    c.a[3] = r10;
    c.a[4] = r8;
    c.a[5] = r9;
}

// The calling thread's IPC buffer: the personality keeps its address at GS:8 (lib/runtime/thread_block.hpp).
[[gnu::always_inline]] inline abi::IpcBuffer& ipc_buffer() {
    abi::IpcBuffer* buffer;
    asm volatile("mov %%gs:8, %0" : "=r"(buffer));
    return *buffer;
}

}  // namespace bulkhead::cap
