// SPDX-License-Identifier: Apache-2.0
// What a 64-bit loader (boot/efi) and the kernel agree on. `kernel/bulkhead.elf`:
//
//   - ELF64, statically linked. Load each PT_LOAD at p_paddr - K_LOAD_ADDRESS + base, where base is any
//   multiple of 2 MiB at or above 2 MiB and
//     below 4 GiB, p_memsz long and zero-filled behind p_filesz. (p_paddr starts at 2 MiB; the virtual
//     addresses at -2 GiB + p_paddr. The kernel maps itself; nothing is relocated.) The whole image occupies
//     [base, base + image_bytes), memory of its own.
//   - The entry point's physical address is base + (e_entry - 0xffffffff80200000).
//
// Machine state at the jump:
//   - 64-bit mode, CPL 0, any code segment, interrupts off, NMI sources quiet; CR4.LA57 = 0.
//   - The loader's page tables identity-map, writable and executable, the image, and, writable, the BootInfo;
//   both are below 4 GiB.
//   - RDI = physical address of abi::BootInfo; a stack is not needed. Boot services are over
//   (ExitBootServices).
//   - All other CPUs are in INIT or wait-for-SIPI state, as firmware leaves them.
//
// The BootInfo:
//   - magic, version (kAbiVersion), size (sizeof(BootInfo)); kernel_base = base, kernel_size = image bytes.
//   - ACPI facts filled by boot/acpi (parse into it); `rsdp` for user level.
//   - range[]: the firmware's memory map run through boot/memmap's normaliser. Memory of the kernel image is
//   MemoryType::Kernel, of
//     modules Module, of the BootInfo itself and the loader's tables Boot (given to the root task as free
//     memory).
//   - module[]: "manifest", "bootfs": page-aligned, zero-padded to whole pages, disjoint.
//   - At least one Free page below 0xa0000 that is not page 0 must be left for starting the other CPUs.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::arch {
inline constexpr uint64_t kKernelLinkPhysical = 0x200000;
inline constexpr uint64_t kKernelLinkVirtual = 0xffffffff80200000;
inline constexpr uint64_t kKernelBaseAlignment = 0x200000;
inline constexpr uint64_t kKernelBaseLimit = 0x100000000;
}  // namespace bulkhead::arch
