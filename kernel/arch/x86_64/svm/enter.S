// SPDX-License-Identifier: Apache-2.0
// [[noreturn]] svm_enter(vmcb_physical, uint64_t gpr[16] of the state page): ends in svm_exited() on a fresh
// stack, as everything that a thread's user registers are not needed for.
// With GIF clear, so that what arrives after the last check is taken right after VMRUN (APM 15.17). Interrupts are enabled under
// GIF = 0: with V_INTR_MASKING the host's IF at VMRUN decides whether physical interrupts end the guest's run (15.21.1).
#include "kernel/arch/x86_64/layout.h"

.text
.balign 64
.global svm_enter
svm_enter:
    push %rsi
    mov %gs:CL_HOST_VMCB, %rax
    push %rax                    // GS is the guest's when it is needed again
    vmsave                       // host FS, GS, TR, LDTR, KernelGSBase, STAR..., SYSENTER
    mov %rdi, %rax
    vmload
    mov 1*8(%rsi), %rcx
    mov 2*8(%rsi), %rdx
    mov 3*8(%rsi), %rbx
    mov 5*8(%rsi), %rbp
    mov 7*8(%rsi), %rdi
    mov 8*8(%rsi), %r8
    mov 9*8(%rsi), %r9
    mov 10*8(%rsi), %r10
    mov 11*8(%rsi), %r11
    mov 12*8(%rsi), %r12
    mov 13*8(%rsi), %r13
    mov 14*8(%rsi), %r14
    mov 15*8(%rsi), %r15
    mov 6*8(%rsi), %rsi
    sti
    vmrun
    cli
    vmsave
    mov 8(%rsp), %rax
    mov %rcx, 1*8(%rax)
    mov %rdx, 2*8(%rax)
    mov %rbx, 3*8(%rax)
    mov %rbp, 5*8(%rax)
    mov %rsi, 6*8(%rax)
    mov %rdi, 7*8(%rax)
    mov %r8, 8*8(%rax)
    mov %r9, 9*8(%rax)
    mov %r10, 10*8(%rax)
    mov %r11, 11*8(%rax)
    mov %r12, 12*8(%rax)
    mov %r13, 13*8(%rax)
    mov %r14, 14*8(%rax)
    mov %r15, 15*8(%rax)
    pop %rax
    vmload
    // The guest's calls must not steer the kernel's returns: 32 harmless entries for the return predictor.
.rept 32
    call 1f
    int3
1:
.endr
    stgi
    mov %gs:CL_STACK, %rsp
    mov %gs:CL_SELF, %rdi
    xor %ebp, %ebp
    call svm_exited
    jmp exit_user

.section .note.GNU-stack, "", @progbits
