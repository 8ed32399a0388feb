// SPDX-License-Identifier: Apache-2.0
// See peer_access.hpp. Leaf code without a stack frame: the landing can return for each of them. x86 loads are acquiring, and
// an aligned 64-bit load is one access.
    .text
    .globl bulkhead_peer_access_start, bulkhead_peer_access_end, bulkhead_peer_access_landing
    .hidden bulkhead_peer_access_start, bulkhead_peer_access_end, bulkhead_peer_access_landing
bulkhead_peer_access_start:

    .globl bulkhead_peer_load
    .type bulkhead_peer_load, @function
bulkhead_peer_load:
    endbr64
    mov (%rdi), %rax
    mov %rax, (%rsi)
    xor %eax, %eax
    ret
    .size bulkhead_peer_load, . - bulkhead_peer_load

    .globl bulkhead_peer_copy
    .type bulkhead_peer_copy, @function
bulkhead_peer_copy:
    endbr64
    mov %rdx, %rcx
    rep movsq
    xor %eax, %eax
    ret
    .size bulkhead_peer_copy, . - bulkhead_peer_copy

bulkhead_peer_access_end:
bulkhead_peer_access_landing:
    mov $1, %eax
    ret
    .section .note.GNU-stack, "", @progbits
