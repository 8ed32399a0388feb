// SPDX-License-Identifier: Apache-2.0
// What the other side of a measurement runs: position-independent, without a stack, so that a copy of this section in an
// address space of its own is a whole program. Arguments arrive in RDI and RSI (ThreadStart).
#define CALL(n) mov $-0x10000 + n, %rax; syscall

    .section side_code, "ax", @progbits
    .balign 16

// rdi endpoint, rsi reply object: answers every call with the words it came with.
    .globl side_echo
side_echo:
    mov %rdi, %rbx
    mov %rsi, %r12
    mov $-1, %r13
    CALL(4)                         // IpcRecv
1:  mov %rbx, %rdi
    CALL(3)                         // IpcReplyRecv
    jmp 1b

// rdi what to wait for, rsi what to signal then.
    .globl side_pong
side_pong:
    mov %rdi, %rbx
    mov %rsi, %rbp
1:  mov %rbx, %rdi
    mov $-1, %rsi
    CALL(7)                         // Wait
    mov %rbp, %rdi
    CALL(6)                         // Signal
    jmp 1b

// rdi endpoint, rsi reply object. Every fault is resumed `(rsp)` bytes further on.
    .globl side_skip
side_skip:
    mov %rdi, %rbx
    mov %rsi, %r12
    mov $-1, %r13
    mov (%rsp), %r14                // bytes to skip
    CALL(4)
1:  add %r14, %rdx                  // rip
    mov %rbx, %rdi
    mov $0xfd << 16, %esi           // kFaultResumeAt
    CALL(3)
    jmp 1b

    .section .note.GNU-stack, "", @progbits
