// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 information to BootInfo. Modules are named by the last word of their command line, without
// folder and extension:
// `-initrd "build/root.elf root,build/blob.bin blob"`.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {
inline constexpr uint32_t kMultibootMagic = 0x2badb002;
// nullptr, or a sentence. Identity mapping of the low 4 GiB is in force.
const char* read_multiboot(uint64_t address, uint64_t image_physical, uint64_t image_bytes,
                           uint32_t boot_apic_id, abi::BootInfo&);
}  // namespace bulkhead::init
