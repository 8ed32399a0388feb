// SPDX-License-Identifier: Apache-2.0
// The first instructions: Multiboot 1 (32-bit, loaded at 2 MiB) and the 64-bit entry (entry_contract.hpp). Both build the same
// temporary page tables - identity for the low 4 GiB, the image at -2 GiB - and continue in boot_main(kind, pointer).
#include "layout.h"

#define MB_MAGIC 0x1badb002
#define MB_FLAGS 3  // page-aligned modules, memory map
#define PHYS(symbol) (symbol - K_IMAGE_BASE)

.section .multiboot, "a"
.balign 4
.long MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

.section .init.entry, "awx"
.code32
.global boot_entry32
boot_entry32:
    cli
    cld
    mov $PHYS(boot_stack_top), %esp
    mov %eax, %edi
    mov %ebx, %esi
    push %esi
    push %edi

    // Long mode or nothing.
    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb 9f
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc 9f

    mov $PHYS(boot_pml4), %edi
    mov $PHYS(boot_pdpt_low) + 3, %eax
    mov %eax, (%edi)
    mov $PHYS(boot_pdpt_high) + 3, %eax
    mov %eax, 511*8(%edi)
    mov $PHYS(boot_pd_low) + 3, %eax
    mov $PHYS(boot_pdpt_low), %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 1b
    mov $PHYS(boot_pdpt_high), %edi
    mov $PHYS(boot_pd_high) + 3, %eax
    mov %eax, 510*8(%edi)
    mov $0x83, %eax             // present, writable, 2 MiB
    mov $PHYS(boot_pd_low), %edi
    mov $2048, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $0x83, %eax
    mov $PHYS(boot_pd_high), %edi
    mov $512, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b

    pop %edi
    pop %esi
    mov $PHYS(boot_pml4), %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax              // PAE
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x900, %eax             // LME, NXE
    wrmsr
    mov %cr0, %eax
    or $0x80010001, %eax        // PG, WP, PE
    mov %eax, %cr0
    lgdt PHYS(boot_gdt_pointer32)
    ljmp $SEL_KCODE, $PHYS(1f)
.code64
1:  movabs $boot_high, %rax
    jmp *%rax
.code32
9:  // No long mode: say so on COM1 (already programmed by firmware or not; nothing else can be done) and stop.
    mov $PHYS(no_long_mode), %esi
1:  lodsb
    test %al, %al
    jz 2f
    mov $0x3f8, %edx
    out %al, %dx
    jmp 1b
2:  hlt
    jmp 2b

.code64
.global boot_entry64
boot_entry64:
    cli
    cld
    mov %rdi, %rsi              // pointer
    mov $0x64, %edi             // kind: BootInfo
    lea boot_stack_top(%rip), %rsp
    lea boot_pml4(%rip), %rbx
    lea boot_pdpt_low(%rip), %rax
    or $3, %rax
    mov %rax, (%rbx)
    lea boot_pdpt_high(%rip), %rdx
    lea 3(%rdx), %rax
    mov %rax, 511*8(%rbx)
    lea boot_pd_high(%rip), %r8
    lea 3(%r8), %rax
    mov %rax, 510*8(%rdx)
    lea boot_pdpt_low(%rip), %rdx
    lea boot_pd_low(%rip), %r9
    lea 3(%r9), %rax
    mov $4, %ecx
1:  mov %rax, (%rdx)
    add $0x1000, %rax
    add $8, %rdx
    loop 1b
    mov $0x83, %eax
    mov $2048, %ecx
1:  mov %rax, (%r9)
    add $0x200000, %rax
    add $8, %r9
    loop 1b
    lea image_start(%rip), %rax // physical base of the image, 2 MiB aligned
    sub $K_LOAD_ADDRESS - 0x83, %rax
    mov $512, %ecx
1:  mov %rax, (%r8)
    add $0x200000, %rax
    add $8, %r8
    loop 1b
    mov $0xc0000080, %ecx
    rdmsr
    or $0x800, %eax             // NXE
    wrmsr
    mov %rbx, %cr3
    lgdt boot_gdt_pointer64(%rip)
    movabs $boot_high, %rax
    push $SEL_KCODE
    push %rax
    lretq

boot_high:
    lgdt boot_gdt_pointer64(%rip)
    mov $SEL_KDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    mov %edi, %edi
    call boot_main
1:  hlt
    jmp 1b

// The other CPUs start here, in real mode, at the page that smp.cpp copied this to (CS = page >> 4, IP = 0). The words before
// the end are filled in by smp.cpp.
.balign 16
.code16
.global trampoline_start
trampoline_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    xor %ebx, %ebx
    mov %ax, %bx
    shl $4, %ebx                // physical address of this page
    lidtl trampoline_idt - trampoline_start
    lgdtl trampoline_gdt_pointer - trampoline_start
    mov trampoline_cr3 - trampoline_start, %eax
    mov %eax, %cr3
    mov $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    xor %edx, %edx
    mov $0x900, %eax
    wrmsr
    mov $0x80010011, %eax       // straight from real mode to long mode; caches as after INIT until the C code
    mov %eax, %cr0
    ljmpl *(trampoline_far - trampoline_start)
.code64
trampoline_long:
    mov $SEL_KDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    movq trampoline_stack - trampoline_start(%rbx), %rsp
    movq trampoline_argument - trampoline_start(%rbx), %rdi
    movq trampoline_entry - trampoline_start(%rbx), %rax
    xor %ebp, %ebp
    call *%rax
    ud2
.balign 8
trampoline_idt:
    .word 0
    .long 0
.balign 8
.global trampoline_gdt_pointer, trampoline_far, trampoline_cr3, trampoline_stack, trampoline_argument, trampoline_entry, trampoline_gdt, trampoline_end, trampoline_long
    .word 0
trampoline_gdt_pointer:
    .word 23
    .long 0
.balign 8
trampoline_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
trampoline_far:
    .long 0
    .word SEL_KCODE, 0
trampoline_cr3:
    .quad 0
trampoline_stack:
    .quad 0
trampoline_argument:
    .quad 0
trampoline_entry:
    .quad 0
trampoline_end:

.balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
    .word 0, 0, 0
boot_gdt_pointer32:
    .word 23
    .long PHYS(boot_gdt)
    .word 0, 0, 0
boot_gdt_pointer64:
    .word 23
    .quad boot_gdt
no_long_mode:
    .asciz "bulkhead: this CPU has no 64-bit mode\r\n"

.section .init.tables, "aw", @nobits
.balign 4096
.global boot_pml4
boot_pml4: .skip 4096
boot_pdpt_low: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd_low: .skip 4096 * 4
boot_pd_high: .skip 4096
boot_stack: .skip 16384
boot_stack_top:
.section .note.GNU-stack, "", @progbits
