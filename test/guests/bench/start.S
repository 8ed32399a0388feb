// SPDX-License-Identifier: Apache-2.0
// PVH entry (xen/include/public/arch-x86/hvm/start_info.h): 32-bit protected mode, flat segments, no paging. Goes on in long mode with
// the first 4 GiB mapped one to one, by 2 MiB pages; the local APIC lies in them, uncached.

    .section .note.Xen, "a", @note
    .long 4, 8, 18                      // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad start32

    .section .text.start, "ax"
    .code32
    .global start32
start32:
    mov $stack_top, %esp
    mov $directory, %edi
    mov $0x83, %eax                     // present, writable, large
    mov $2048, %ecx
1:  cmp $0xfee00000, %eax
    jb 2f
    or $0x18, %eax                      // PCD, PWT
2:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $8, %edi
    add $0x200000, %eax
    loop 1b
    mov $directory + 3, %eax
    mov $pointers, %edi
    mov $4, %ecx
3:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 3b
    movl $pointers + 3, root
    mov $0x20, %eax                     // PAE
    mov %eax, %cr4
    mov $root, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax                     // LME
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $start64

    .code64
start64:
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %ebp, %ebp
    call bench_main
4:  hlt
    jmp 4b

    .section .rodata
    .balign 8
gdt:
    .quad 0, 0x00af9b000000ffff
gdt_pointer:
    .word 15
    .long gdt

    .section .bss
    .balign 4096
root:      .skip 4096
pointers:  .skip 4096
directory: .skip 4 * 4096
           .skip 16384
stack_top:

    .section .note.GNU-stack, "", @progbits
