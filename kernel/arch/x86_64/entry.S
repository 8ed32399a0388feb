// SPDX-License-Identifier: Apache-2.0
// The way in and out of the kernel. There is one stack per CPU; user registers are saved straight into the thread's UserContext,
// and every way in ends in the C++ function that returns the context to leave with.
#include "layout.h"

.section .text.entry, "ax"

// Stores all general registers but RAX, RCX, R11, RSP into the context at RAX.
.macro SAVE_COMMON
    SAVE_KEPT %rax
    SAVE_ARGUMENTS %rax
    mov %rdi, UC_RDI(%rax)
.endm

// Those that C++ keeps.
.macro SAVE_KEPT context
    mov %rbx, UC_RBX(\context)
    mov %rbp, UC_RBP(\context)
    mov %r12, UC_R12(\context)
    mov %r13, UC_R13(\context)
    mov %r14, UC_R14(\context)
    mov %r15, UC_R15(\context)
.endm

// To user mode.
.macro PUSH_IRET_FRAME context
    push $SEL_UDATA
    push UC_RSP(\context)
    push UC_RFLAGS(\context)
    push $SEL_UCODE
    push UC_RIP(\context)
.endm

// Those of a message.
.macro SAVE_ARGUMENTS context
    mov %rdx, UC_RDX(\context)
    mov %rsi, UC_RSI(\context)
    mov %r8, UC_R8(\context)
    mov %r9, UC_R9(\context)
    mov %r10, UC_R10(\context)
.endm

// ---- syscall ---------------------------------------------------------------------------------------------------------------
// RCX = user RIP, R11 = user RFLAGS; SFMASK has cleared IF, DF, TF, NT, AC. A path stores what it needs and no more: the context
// in memory is whole only where a thread's registers may be asked for (it blocks on a general path, it is interrupted), and what
// a blocked thread's call will overwrite when it ends may be old in it.
//
// Numbers that are not the kernel's take the upcall path: an IRETQ with a prepared frame to the thread's upcall address (0 if it
// has none: it faults there, as it should), every register as `syscall` left it.
.balign 64
.global syscall_entry
syscall_entry:
    swapgs
    mov %rsp, %gs:CL_UPCALL_RSP
    mov %gs:CL_LOADED, %rsp             // the context; no stack: nothing may push until CL_STACK is loaded
    mov %rcx, UC_RIP(%rsp)
    mov %r11, UC_RFLAGS(%rsp)
    cmp $SYSCALL_CALL, %rax
    je syscall_call
    cmp $SYSCALL_REPLY_RECV, %rax
    je syscall_reply_recv
    cmp $SYSCALL_VCPU_RUN, %rax
    je syscall_vcpu_run
    cmp $SYSCALL_SIGNAL, %rax
    je syscall_signal
    cmp $SYSCALL_WAIT, %rax
    je syscall_wait
    cmp $SYSCALL_NULL, %rax
    je syscall_null
    cmp $SYSCALL_END, %rax
    jge 1f
    cmp $SYSCALL_FIRST, %rax
    jl 1f
syscall_other:
    mov %rax, UC_RAX(%rsp)
    mov %rsp, %rax
    SAVE_COMMON
    mov %gs:CL_UPCALL_RSP, %rcx
    mov %rcx, UC_RSP(%rax)
    mov %gs:CL_STACK, %rsp
    mov %gs:CL_SELF, %rdi
    xor %ebp, %ebp
    call syscall_from_user
    jmp exit_user
1:  // Selectors and RFLAGS of the frame never change.
    lea TH_UPCALL(%rsp), %rsp
    pop %gs:CL_UPCALL_RIP
    mov %gs:CL_UPCALL_FRAME, %rsp
    swapgs
.global iret_upcall
iret_upcall:
    iretq

// The fast paths. Each stores what it will need, takes the kernel lock (lock.hpp), and calls C++ that leaves the message's
// registers alone. When C++ declines, or the lock is not free, the rest is stored and the call goes the general way.
.macro LOCK_KERNEL waits                // BargingLock::try_take
    xor %eax, %eax
    mov $1, %r11d
    lock cmpxchg %r11d, kernel_lock(%rip)
    jne \waits
.endm
.macro UNLOCK_KERNEL                    // only who holds it writes this byte; x86 orders it behind all that was stored before
    movb $0, kernel_lock(%rip)
.endm

.macro SWITCHING_CALL handler, number, switch
    SAVE_KEPT %rsp
    mov %gs:CL_UPCALL_RSP, %rcx
    mov %rcx, UC_RSP(%rsp)
    mov %rsp, %rcx
    mov %gs:CL_STACK, %rsp
    LOCK_KERNEL 2f
    call \handler
    test %rax, %rax
    jnz \switch
    mov $\number, %rcx
    jmp syscall_general
2:  mov $\number, %rcx
    jmp syscall_must_wait
.endm

.balign 16
syscall_call:
    mov %rdi, UC_RDI(%rsp)              // comes back as it was
    SWITCHING_CALL fast_ipc_call, SYSCALL_CALL, switch_by_message
.balign 16
syscall_reply_recv:
    SWITCHING_CALL fast_ipc_reply_recv, SYSCALL_REPLY_RECV, 1f

// RAX: the thread that goes on, its address space is loaded, its message is in the registers. It waited in a system call, so it
// leaves by SYSRET, and its RIP was RCX at a `syscall`: no check for the canonical hole.
// From the loaded thread to the one at RAX, which is in R12 then; GS is the user's.
.macro SWITCH_LOADED
    mov %gs:CL_LOADED, %rbx
    mov %rax, %gs:CL_LOADED
    mov %rax, %r12
    mov $-1, %eax                       // all that XCR0 enables; its upper half is 0, whatever the message has in EDX
    xsaveopt64 TH_FPU(%rbx)
    xrstor64 TH_FPU(%r12)
    rdfsbase %rcx
    mov %rcx, UC_FS_BASE(%rbx)
    mov UC_FS_BASE(%r12), %rcx
    wrfsbase %rcx
    swapgs
    rdgsbase %rcx
    mov %rcx, UC_GS_BASE(%rbx)
    mov UC_GS_BASE(%r12), %rcx
    wrgsbase %rcx
    UNLOCK_KERNEL                       // the state of the one that waits is in memory
.endm
.balign 16
1:  cmpq $0, UC_BY_SYSCALL(%rax)
    je switch_to_faulted
    mov UC_RDI(%rax), %rdi
switch_by_message:
    SWITCH_LOADED
    mov UC_RBX(%r12), %rbx
    mov UC_RBP(%r12), %rbp
    mov UC_R13(%r12), %r13
    mov UC_R14(%r12), %r14
    mov UC_R15(%r12), %r15
    mov UC_RIP(%r12), %rcx
    mov UC_RFLAGS(%r12), %r11
    mov UC_RSP(%r12), %rsp
    mov UC_R12(%r12), %r12
    xor %eax, %eax                      // Status::Ok
    sysretq

// The same for a thread that had faulted: all its registers come back, by IRETQ. Its RIP is a user address.
.balign 16
switch_to_faulted:
    SWITCH_LOADED
    movq $1, UC_BY_SYSCALL(%r12)        // see exit_user
    PUSH_IRET_FRAME %r12
    mov UC_RAX(%r12), %rax
    mov UC_RBX(%r12), %rbx
    mov UC_RCX(%r12), %rcx
    mov UC_RDX(%r12), %rdx
    mov UC_RSI(%r12), %rsi
    mov UC_RDI(%r12), %rdi
    mov UC_RBP(%r12), %rbp
    mov UC_R8(%r12), %r8
    mov UC_R9(%r12), %r9
    mov UC_R10(%r12), %r10
    mov UC_R11(%r12), %r11
    mov UC_R13(%r12), %r13
    mov UC_R14(%r12), %r14
    mov UC_R15(%r12), %r15
    mov UC_R12(%r12), %r12
    jmp iret_user

// Calls after which the thread goes on; RAX, of the handler, is the result in RDX, if the call has one.
.macro SAVE_SWITCHED
    mov %gs:CL_LOADED, %rax
    SAVE_KEPT %rax
    mov %gs:CL_UPCALL_RSP, %rcx
    mov %rcx, UC_RSP(%rax)
.endm
.macro STAYING_CALL handler, number, result
    mov %rsp, %rcx
    mov %gs:CL_STACK, %rsp
    LOCK_KERNEL 2f
    call \handler
    test %rax, %rax
    jz 1f
    UNLOCK_KERNEL
    .ifnb \result
    mov %rax, \result
    .endif
    mov %gs:CL_LOADED, %rax
    mov UC_RIP(%rax), %rcx
    mov UC_RFLAGS(%rax), %r11
    mov %gs:CL_UPCALL_RSP, %rsp
    xor %eax, %eax
    swapgs
    sysretq
1:  SAVE_SWITCHED
    mov $\number, %rcx
    jmp syscall_general
2:  SAVE_SWITCHED
    mov $\number, %rcx
    jmp syscall_must_wait
.endm
.balign 16
syscall_signal:
    STAYING_CALL fast_signal, SYSCALL_SIGNAL
.balign 16
syscall_wait:
    STAYING_CALL fast_wait, SYSCALL_WAIT, %rdx

// A guest runs until it exits, and all that happens meanwhile must find the thread's registers in memory. Entered from C++
// (svm/fast_guest.cpp), left by leave_vcpu_run or, after more than that, by exit_user.
.balign 16
syscall_vcpu_run:
    SAVE_KEPT %rsp
    SAVE_ARGUMENTS %rsp
    mov %rdi, UC_RDI(%rsp)
    mov %gs:CL_UPCALL_RSP, %rcx
    mov %rcx, UC_RSP(%rsp)
    mov %rsp, %rcx
    mov %gs:CL_STACK, %rsp
    LOCK_KERNEL 2f
    call fast_vcpu_run
    mov %gs:CL_LOADED, %rax
    mov $SYSCALL_VCPU_RUN, %rcx
    jmp syscall_stored
2:  mov %gs:CL_LOADED, %rax
    mov $SYSCALL_VCPU_RUN, %rcx
    jmp syscall_stored_must_wait

// void leave_vcpu_run(context, reason): Status::Ok. No check for the canonical hole, see 1: above.
.balign 16
.global leave_vcpu_run
leave_vcpu_run:
    mov %rsi, %rdx
    mov UC_RBX(%rdi), %rbx
    mov UC_RBP(%rdi), %rbp
    mov UC_RSI(%rdi), %rsi
    mov UC_R8(%rdi), %r8
    mov UC_R9(%rdi), %r9
    mov UC_R10(%rdi), %r10
    mov UC_R12(%rdi), %r12
    mov UC_R13(%rdi), %r13
    mov UC_R14(%rdi), %r14
    mov UC_R15(%rdi), %r15
    mov UC_RIP(%rdi), %rcx
    mov UC_RFLAGS(%rdi), %r11
    mov UC_RSP(%rdi), %rsp
    mov UC_RDI(%rdi), %rdi
    xor %eax, %eax
    swapgs
    sysretq

// RCX: the call's number; all but RAX and the message is stored.
syscall_general:
    mov %gs:CL_LOADED, %rax
    SAVE_ARGUMENTS %rax
    mov %rdi, UC_RDI(%rax)
syscall_stored:
    mov %rcx, UC_RAX(%rax)
    mov %gs:CL_SELF, %rdi
    xor %ebp, %ebp
    call syscall_declined
    jmp exit_user
syscall_must_wait:                      // the same, without the lock
    mov %gs:CL_LOADED, %rax
    SAVE_ARGUMENTS %rax
    mov %rdi, UC_RDI(%rax)
syscall_stored_must_wait:
    mov %rcx, UC_RAX(%rax)
    mov %gs:CL_SELF, %rdi
    xor %ebp, %ebp
    call syscall_from_user
    jmp exit_user

// Null: what a system call costs at the least. It touches nothing, so it takes no lock.
.balign 16
syscall_null:
    mov UC_RFLAGS(%rsp), %r11
    mov %gs:CL_UPCALL_RSP, %rsp
    xor %eax, %eax                      // Status::Ok
    swapgs
    sysretq

// ---- leaving ---------------------------------------------------------------------------------------------------------------
// RAX = context. SYSRET when the thread came by `syscall` and its RIP is below the canonical hole (Intel's SYSRET would fault
// in ring 0 with a user stack), else IRETQ.
.balign 16
.global exit_user
exit_user:
    mov UC_RBX(%rax), %rbx
    mov UC_RDX(%rax), %rdx
    mov UC_RSI(%rax), %rsi
    mov UC_RDI(%rax), %rdi
    mov UC_RBP(%rax), %rbp
    mov UC_R8(%rax), %r8
    mov UC_R9(%rax), %r9
    mov UC_R10(%rax), %r10
    mov UC_R12(%rax), %r12
    mov UC_R13(%rax), %r13
    mov UC_R14(%rax), %r14
    mov UC_R15(%rax), %r15
    cmpq $0, UC_BY_SYSCALL(%rax)
    je 1f
    mov UC_RIP(%rax), %rcx
    mov %rcx, %r11
    shr $47, %r11
    jnz 1f
    mov UC_RFLAGS(%rax), %r11
    mov UC_RSP(%rax), %rsp
    mov UC_RAX(%rax), %rax
    swapgs
    sysretq
1:  movq $1, UC_BY_SYSCALL(%rax)        // from here on, until an interrupt or an exception
    mov %gs:CL_STACK, %rsp
    PUSH_IRET_FRAME %rax
    mov UC_RCX(%rax), %rcx
    mov UC_R11(%rax), %r11
    mov UC_RAX(%rax), %rax
    swapgs
.global iret_user
iret_user:
    iretq

// ---- interrupts and exceptions -----------------------------------------------------------------------------------------
// Stack in isr_common: 0 vector, 8 error, 16 RIP, 24 CS, 32 RFLAGS, 40 RSP, 48 SS.
.macro STUB vector
.balign 16
    .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
    .else
    push $0
    .endif
    push $\vector
    .if (\vector == 2) || (\vector == 8) || (\vector == 18)
    jmp isr_ist
    .else
    jmp isr_common
    .endif
.endm

.balign 64
.global isr_stubs
isr_stubs:
.set v, 0
.rept 256
    STUB v
    .set v, v + 1
.endr

.balign 64
isr_common:
    testb $3, 24(%rsp)
    jz isr_kernel
    swapgs
    lfence                              // no speculation past a wrong guess of the branch above with the user's GS base
isr_user:
    mov %rax, %gs:CL_SCRATCH
    mov %gs:CL_LOADED, %rax
    SAVE_COMMON
    mov %rcx, UC_RCX(%rax)
    mov %r11, UC_R11(%rax)
    mov %gs:CL_SCRATCH, %rcx
    mov %rcx, UC_RAX(%rax)
    pop UC_VECTOR(%rax)
    pop UC_ERROR(%rax)
    pop UC_RIP(%rax)
    pop %rcx
    pop UC_RFLAGS(%rax)
    pop UC_RSP(%rax)
    movq $0, UC_BY_SYSCALL(%rax)
    mov %gs:CL_STACK, %rsp
    xor %ebp, %ebp
    push $2
    popfq                               // DF, and AC: the user's would switch SMAP off in here
    cmpq $32, UC_VECTOR(%rax)
    jae 1f
    mov %rax, %rdi
    LOCK_KERNEL 1f
    call fast_fault
    test %rax, %rax
    jz 2f
    mov %gs:CL_LOADED, %rbx
    mov $FAULT_TAG, %esi
    mov %rdx, %rdi
    mov UC_RIP(%rbx), %rdx
    mov UC_ADDRESS(%rbx), %r10
    mov UC_ERROR(%rbx), %r8
    mov UC_VECTOR(%rbx), %r9
    jmp switch_by_message
1:  mov %gs:CL_SELF, %rdi
    call trap_from_user
    jmp exit_user
2:  mov %gs:CL_SELF, %rdi
    call fault_declined
    jmp exit_user

// From ring 0: an interrupt during idle, a fault of the IRETQ to user mode (its frame then holds what the user wanted: the
// fault is the user's), or a bug.
isr_kernel:
    cld
    cmpq $32, (%rsp)
    jae 2f
    push %rax
    lea iret_user(%rip), %rax
    cmp %rax, 24(%rsp)
    je 1f
    lea iret_upcall(%rip), %rax
    cmp %rax, 24(%rsp)
    je 1f
    pop %rax
isr_bug:
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    and $-16, %rsp
    call exception_from_kernel
    ud2
1:  // RSP in the fault's frame points to the IRET frame. Build what isr_user expects: vector, error, and the IRET frame.
    swapgs
    lfence
    mov 48(%rsp), %rax                  // -> RIP CS RFLAGS RSP SS
    push 32(%rax)                       // below, a copy in order: SS, RSP, RFLAGS, CS, RIP
    push 24(%rax)
    push 16(%rax)
    push 8(%rax)
    push 0(%rax)
    push 5*8+16(%rsp)                   // error
    push 6*8+8(%rsp)                    // vector
    mov 7*8(%rsp), %rax
    jmp isr_user
2:  mov (%rsp), %rsi
    mov %gs:CL_STACK, %rsp
    mov %gs:CL_SELF, %rdi
    xor %ebp, %ebp
    call interrupt_from_idle
    jmp exit_user

// NMI, #MC, #DF: on their own stacks, from anywhere, even between SWAPGS and its partner. They do not return.
isr_ist:
    cld
    push %rax
    mov %rsp, %rax
    or $0xfff, %rax
    mov -7(%rax), %rax                  // the CpuLocal, in the last word of the IST stack
    wrgsbase %rax
    pop %rax
    jmp isr_bug

// void wait_for_interrupt(): idle. STI takes effect after HLT has begun: no wake-up is lost. Interrupts come in at 2: above.
.global wait_for_interrupt
wait_for_interrupt:
1:  sti
    hlt
    cli
    jmp 1b

// void take_interrupts(): after a guest's exit for a host interrupt; its state is in memory. The interrupt is taken like one
// during idle, at 2: above; if it has vanished, the guest simply continues.
.global take_interrupts
take_interrupts:
    mov %gs:CL_STACK, %rsp
    xor %ebp, %ebp
    sti
    nop
    cli
    mov %gs:CL_SELF, %rdi
    call no_interrupt
    jmp exit_user

// UserContext* on a fresh stack: leave_from_boot(context)
.global enter_user_first
enter_user_first:
    mov %rdi, %rax
    jmp exit_user

.section .note.GNU-stack, "", @progbits
