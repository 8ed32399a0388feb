// SPDX-License-Identifier: Apache-2.0
// Linux call number -> function, as offsets from the table: no relocation is needed. What is not named is ENOSYS.
    .section .rodata
    .hidden call_table, native_table
    .globl call_table, native_table
    .p2align 3

// `at N, function` fills up to N with ENOSYS, so entries must be in order.
    .set next, 0
    .macro at number, function
    .rept \number - next
    .long call_enosys - call_table
    .endr
    .long \function - call_table
    .set next, \number + 1
    .endm

call_table:
    at 0, call_read
    at 1, call_write
    at 2, call_no_file
    at 3, call_close
    at 4, call_no_file
    at 5, call_fstat
    at 6, call_no_file
    at 8, call_lseek
    at 9, call_mmap
    at 10, call_mprotect
    at 11, call_munmap
    at 12, call_brk
    at 13, call_sigaction
    at 14, call_sigprocmask
    at 16, call_ioctl
    at 20, call_writev
    at 21, call_no_file
    at 24, call_yield
    at 25, call_mremap
    at 28, call_madvise
    at 35, call_nanosleep
    at 39, call_one
    at 56, call_clone_registers
    at 60, call_exit
    at 62, call_kill
    at 63, call_uname
    at 72, call_fcntl
    at 79, call_no_file
    at 89, call_no_file
    at 96, call_gettimeofday
    at 97, call_getrlimit
    at 99, call_sysinfo
    at 102, call_zero
    at 104, call_zero
    at 107, call_zero
    at 108, call_zero
    at 110, call_zero
    at 131, call_zero
    at 157, call_prctl
    at 158, call_arch_prctl
    at 186, call_gettid
    at 201, call_time
    at 202, call_futex
    at 204, call_sched_getaffinity
    at 218, call_set_tid_address
    at 228, call_clock_gettime
    at 229, call_clock_getres
    at 230, call_clock_nanosleep
    at 231, call_exit_group
    at 234, call_tgkill
    at 257, call_no_file
    at 262, call_newfstatat
    at 267, call_no_file
    at 302, call_prlimit
    at 318, call_getrandom
    at 332, call_no_file
    at 334, call_enosys

native_table:
    .long call_register_fixup - native_table
    .long call_set_wall_clock - native_table
    .long call_memory_info - native_table
    .section .note.GNU-stack, "", @progbits
