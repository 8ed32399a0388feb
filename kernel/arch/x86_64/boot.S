// SPDX-License-Identifier: Apache-2.0
// The first instructions, one way in for each kind of loader:
//
//   boot_entry32      Multiboot 1 and 2: protected mode without paging
//   boot_entry_efi64  Multiboot 2 under UEFI with its boot services kept: long mode, the firmware's page tables
//   boot_entry64      the ELF entry. bulkhead.efi (entry_contract.hpp): long mode, the loader's page tables
//
// All build the same temporary page tables - identity for the low 4 GiB, the image at -2 GiB - and continue in
// boot_main(kind, pointer). The image may lie at any multiple of 2 MiB: nothing here uses an absolute physical address.
#include "layout.h"

#define MB1_MAGIC 0x1badb002
#define MB1_FLAGS 0x10003  // page-aligned modules, memory map, the addresses below
#define MB2_MAGIC 0xe85250d6
#define MB2_LENGTH (mb2_header_end - mb2_header)
#define MB2_OPTIONAL 1
#define MB2_INFORMATION 0x36d76289
#define PHYS(symbol) (symbol - K_IMAGE_BASE)

// The kernel is an ELF64 file. Loaders of Multiboot 1 want 32 bits, so this header also says where its bytes go: the file holds
// the image as it lies in memory, from image_start to file_end (kernel.lds).
// The sentence at ESI or RSI goes to COM1 (programmed by the firmware or not; nothing else can be done), then nothing more.
.macro SAY_AND_STOP
1:  lodsb
    test %al, %al
    jz 2f
    mov $0x3f8, %edx
    out %al, %dx
    jmp 1b
2:  hlt
    jmp 2b
.endm

.section .multiboot, "a"
.balign 8
mb1_header:
    .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
    .long PHYS(mb1_header), PHYS(image_start), PHYS(file_end), PHYS(image_end), PHYS(boot_entry32)

.balign 8
mb2_header:
    .long MB2_MAGIC, 0, MB2_LENGTH, -(MB2_MAGIC + MB2_LENGTH)
1:  .word 3, 0                      // entry address
    .long 12, PHYS(boot_entry32)
.balign 8
    .word 5, MB2_OPTIONAL           // framebuffer: GRUB takes another one, or text, where there is no such mode
    .long 20, 1024, 768, 32
.balign 8
    .word 6, 0                      // modules on page boundaries
    .long 8
.balign 8
    .word 7, MB2_OPTIONAL           // keep the EFI boot services
    .long 8
.balign 8
    .word 9, MB2_OPTIONAL           // EFI64 entry address
    .long 12, PHYS(boot_entry_efi64)
.balign 8
    .word 10, MB2_OPTIONAL          // relocatable: below 4 GiB, 2 MiB aligned, low if possible
    .long 24, K_LOAD_ADDRESS, 0xffffffff, 0x200000, 1
.balign 8
    .word 0, 0
    .long 8
mb2_header_end:

.section .init.entry, "awx"
.code32
.global boot_entry32
boot_entry32:
    cli
    cld
    mov %eax, %edi
    mov %ebx, %esi
    // Where are we? The only memory known to be ours to write is the loader's information: its second word serves as a stack.
    mov 4(%ebx), %edx
    lea 8(%ebx), %esp
    call 1f
1:  pop %ebp
    mov %edx, 4(%ebx)
    sub $PHYS(1b), %ebp             // what to add to an address of the link
    lea PHYS(boot_stack_top)(%ebp), %esp
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

    lea PHYS(boot_pml4)(%ebp), %edi
    lea PHYS(boot_pdpt_low) + 3(%ebp), %eax
    mov %eax, (%edi)
    lea PHYS(boot_pdpt_high) + 3(%ebp), %eax
    mov %eax, 511*8(%edi)
    lea PHYS(boot_pd_low) + 3(%ebp), %eax
    lea PHYS(boot_pdpt_low)(%ebp), %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 1b
    lea PHYS(boot_pdpt_high)(%ebp), %edi
    lea PHYS(boot_pd_high) + 3(%ebp), %eax
    mov %eax, 510*8(%edi)
    mov $0x83, %eax                 // present, writable, 2 MiB
    lea PHYS(boot_pd_low)(%ebp), %edi
    mov $2048, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    lea 0x83(%ebp), %eax
    lea PHYS(boot_pd_high)(%ebp), %edi
    mov $512, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b

    pop %edi
    pop %esi
    lea PHYS(boot_pml4)(%ebp), %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax                  // PAE
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x900, %eax                 // LME, NXE
    wrmsr
    mov %cr0, %eax
    or $0x80010001, %eax            // PG, WP, PE
    mov %eax, %cr0
    lea PHYS(boot_gdt)(%ebp), %eax
    mov %eax, PHYS(boot_gdt_pointer32) + 2(%ebp)
    lgdt PHYS(boot_gdt_pointer32)(%ebp)
    lea PHYS(1f)(%ebp), %eax
    push $SEL_KCODE
    push %eax
    lret
.code64
1:  movabs $boot_high, %rax
    jmp *%rax
.code32
9:  lea PHYS(no_long_mode)(%ebp), %esi
    SAY_AND_STOP

// The firmware stays in charge until leave_firmware() returns: its GDT, IDT and identity mappings are in force, only the image at
// -2 GiB is added to a copy of its level-4 table. UEFI 2.10, 2.3.4: boot services want 128 KiB of stack.
.code64
.global boot_entry_efi64
boot_entry_efi64:
    cld
    mov %eax, %r12d
    mov %ebx, %r13d
    mov %cr4, %rax
    bt $12, %eax                    // LA57
    jc 9f
    lea boot_stack_top(%rip), %rsp
    call build_tables
    mov %cr3, %rsi
    and $~0xfff, %rsi
    lea boot_pml4(%rip), %rdi
    mov $511, %ecx
    rep movsq
    lea boot_pml4(%rip), %rax
    mov %rax, %cr3
    movabs $1f, %rax
    jmp *%rax
1:  movabs $boot_stack_top, %rsp
    xor %ebp, %ebp
    mov %r13d, %edi
    call leave_firmware
    cli
    lea boot_pml4(%rip), %rdi       // from here on identity is our own: the firmware's tables lie in memory that is now free
    mov boot_pdpt_low_physical(%rip), %rax
    stosq
    xor %eax, %eax
    mov $510, %ecx
    rep stosq
    mov %cr3, %rax
    mov %rax, %cr3
    mov %r12d, %edi
    mov %r13d, %esi
    lgdt boot_gdt_pointer64(%rip)
    movabs $boot_high, %rax
    push $SEL_KCODE
    push %rax
    lretq
9:  lea five_levels(%rip), %rsi
    SAY_AND_STOP

// The ELF entry. mboot.c32 enters here as well, in protected mode: 0x41 is INC ECX there, and only a prefix in long mode.
.code64
.global boot_entry64
boot_entry64:
    xor %ecx, %ecx
    .byte 0x41, 0x90                // long mode: XCHG R8D, EAX, of which neither matters
    test %ecx, %ecx
    jnz boot_entry32
    cli
    cld
    mov %rdi, %r13                  // pointer
    mov $0x64, %r12d                // kind: BootInfo
    lea boot_stack_top(%rip), %rsp
    call build_tables
    mov boot_pdpt_low_physical(%rip), %rax
    mov %rax, boot_pml4(%rip)
    lea boot_pml4(%rip), %rax
    mov %rax, %cr3
    mov %r12d, %edi
    mov %r13, %rsi
    lgdt boot_gdt_pointer64(%rip)
    movabs $boot_high, %rax
    push $SEL_KCODE
    push %rax
    lretq

// The temporary tables, but for the lower half of the highest one. Runs at a physical address.
build_tables:
    lea boot_pdpt_low(%rip), %rdx
    lea 3(%rdx), %rax
    mov %rax, boot_pdpt_low_physical(%rip)
    lea boot_pd_low(%rip), %rdi
    lea 3(%rdi), %rax
    mov $4, %ecx
1:  mov %rax, (%rdx)
    add $0x1000, %rax
    add $8, %rdx
    loop 1b
    mov $0x83, %eax                 // present, writable, 2 MiB
    mov $2048, %ecx
1:  mov %rax, (%rdi)
    add $0x200000, %rax
    add $8, %rdi
    loop 1b
    lea boot_pdpt_high(%rip), %rdx
    lea 3(%rdx), %rax
    mov %rax, boot_pml4 + 511*8(%rip)
    lea boot_pd_high(%rip), %rdi
    lea 3(%rdi), %rax
    mov %rax, 510*8(%rdx)
    lea image_start(%rip), %rax     // physical base of the image, 2 MiB aligned
    sub $K_LOAD_ADDRESS - 0x83, %rax
    mov $512, %ecx
1:  mov %rax, (%rdi)
    add $0x200000, %rax
    add $8, %rdi
    loop 1b
    mov $0xc0000080, %ecx
    rdmsr
    or $0x800, %eax                 // NXE
    wrmsr
    ret

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
boot_pdpt_low_physical:
    .quad 0
no_long_mode:
    .asciz "bulkhead: this CPU has no 64-bit mode\r\n"
five_levels:
    .asciz "bulkhead: the firmware runs with 5-level page tables, which Bulkhead does not support yet; switch LA57 off in its setup\r\n"

.section .init.tables, "aw", @nobits
.balign 4096
.global boot_pml4
boot_pml4: .skip 4096
boot_pdpt_low: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd_low: .skip 4096 * 4
boot_pd_high: .skip 4096
boot_stack: .skip 131072
boot_stack_top:
.section .note.GNU-stack, "", @progbits
