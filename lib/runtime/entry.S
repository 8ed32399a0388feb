// SPDX-License-Identifier: Apache-2.0
// Ways into the personality. No vector registers, no relocations, nothing written but the caller's stack below its red zone.
//
// personality_start   the main thread begins here (e_entry), on the stack that Linux would give the program
// personality_upcall  every `syscall` whose number is not the kernel's continues here, all registers as `syscall` left them:
//                     RAX number, RCX return address, R11 flags, arguments RDI RSI RDX R10 R8 R9
// personality_child   a cloned thread begins here: RDI is its ThreadBlock, RSP the stack that its creator chose
#define CALLS 335
#define NATIVE_FIRST 0x1000
#define NATIVE_CALLS 3
#define ENOSYS 38

// ChildRegisters within ThreadBlock; thread.cpp asserts it.
#define CHILD 80

    .text
    .hidden personality_start, personality_upcall, personality_child
    .globl personality_start, personality_upcall, personality_child

    .type personality_start, @function
personality_start:
    xor %ebp, %ebp
    mov %rsp, %rbx
    mov %rsp, %rdi
    and $-16, %rsp
    call personality_initialise
    mov %rbx, %rsp
    xor %edx, %edx          // no function to register with atexit
    xor %ebx, %ebx
    jmp *%rax

    .p2align 4
    .type personality_upcall, @function
personality_upcall:
    // Trivial calls are answered without a stack.
    cmp $39, %eax
    je getpid
    cmp $186, %eax
    je gettid
    mov %rsp, %r11
    lea -128(%rsp), %rsp    // the red zone is the interrupted function's
    and $-16, %rsp
    cld
    push %r11
    push %rcx
    push %rdi
    push %rsi
    push %rdx
    push %r8
    push %r9
    push %r10
    cmp $CALLS, %rax
    jae other
    lea call_table(%rip), %r11
    movslq (%r11, %rax, 4), %rax
dispatch:
    add %r11, %rax
    mov %r10, %rcx          // fourth argument of a C function
    call *%rax
back:
    pop %r10
    pop %r9
    pop %r8
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rcx
    pop %rsp
    jmp *%rcx
other:
    sub $NATIVE_FIRST, %rax
    cmp $NATIVE_CALLS, %rax
    jae unknown
    lea native_table(%rip), %r11
    movslq (%r11, %rax, 4), %rax
    jmp dispatch
unknown:
    mov $-ENOSYS, %rax
    jmp back
getpid:
    mov $1, %eax
    jmp *%rcx
gettid:
    mov %gs:24, %eax
    jmp *%rcx

    .hidden call_enosys
    .globl call_enosys
    .type call_enosys, @function
call_enosys:
    mov $-ENOSYS, %rax
    ret

// clone and clone3: the child starts with all of the parent's registers. The C function gets a pointer to them as its sixth
// argument: r15 r14 r13 r12 rbp rbx, (padding, return address), r10 r9 r8 rdx rsi rdi rcx.
    .macro with_registers name
    .hidden \name\()_registers
    .globl \name\()_registers
    .type \name\()_registers, @function
\name\()_registers:
    sub $8, %rsp
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %r9
    call \name
    add $56, %rsp
    ret
    .endm
    with_registers call_clone
    with_registers call_clone3

    .type personality_child, @function
personality_child:
    wrgsbase %rdi
    lea CHILD(%rdi), %rax
    mov 0(%rax), %rbx
    mov 8(%rax), %rdx
    mov 16(%rax), %rsi
    mov 24(%rax), %rdi
    mov 32(%rax), %rbp
    mov 40(%rax), %r8
    mov 48(%rax), %r9
    mov 56(%rax), %r10
    mov 64(%rax), %r12
    mov 72(%rax), %r13
    mov 80(%rax), %r14
    mov 88(%rax), %r15
    mov 96(%rax), %rcx
    xor %eax, %eax
    jmp *%rcx

// exit: off the program's stack, which a joiner may free as soon as it learns that this thread ended.
    .hidden call_exit
    .globl call_exit
    .type call_exit, @function
call_exit:
    mov %gs:16, %rsp
    xor %ebp, %ebp
    call personality_leave
    ud2

    .section .note.GNU-stack, "", @progbits
