// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 and 2 information to BootInfo. Runs once in boot code that is discarded, on what the boot
// loader says; every address goes through PhysicalMemory, so that it is tested and fuzzed on the host.
//
// Modules: "manifest" and "bootfs". A module is called by the last word of its text, without folder and
// extension
// (`module2 /boot/x.dtb manifest`, `-initrd "out/bootfs.cpio bootfs"`); one of the two that no text names is
// found by its contents, a device tree or a cpio archive.
#pragma once

#include "abi/bootinfo.hpp"
#include "boot/acpi/acpi.hpp"
#include "boot/memmap/memory_map.hpp"

namespace bulkhead::init {

inline constexpr uint32_t kMultiboot1Magic = 0x2badb002, kMultiboot2Magic = 0x36d76289;

// The map that the firmware gave when the kernel itself left it (leave_firmware.hpp); bytes 0: the loader did
// that.
struct FirmwareMap {
    const uint8_t* descriptors = nullptr;
    uint64_t bytes = 0, each = 0;
};

// The two formats: each fills options, loader, modules (named by nobody yet: `name` holds the text's last
// word), framebuffer and rsdp (0: not told) of BootInfo, and the memory map. nullptr, or a sentence.
const char* read_multiboot1(boot::PhysicalMemory&, uint64_t address, boot::MemoryMap&, abi::BootInfo&);
const char* read_multiboot2(boot::PhysicalMemory&, uint64_t address, const FirmwareMap&, boot::MemoryMap&,
                            abi::BootInfo&);

// All of BootInfo: one of the two, then names, ACPI, and the memory map. `info` is zero but for kernel_base
// and kernel_size.
const char* read_multiboot(boot::PhysicalMemory&, uint32_t magic, uint64_t address, const FirmwareMap&,
                           uint32_t boot_apic_id, boot::MemoryMap&, abi::BootInfo&);

// Parts of the above that both formats use.
abi::MemoryType multiboot_memory_type(uint32_t type);
void set_text(char* to, size_t capacity, const char* from, size_t bytes);  // cut off at NUL and capacity
const char* add_module(abi::BootInfo&, uint64_t start, uint64_t end, const char* text, size_t bytes);
void name_modules(boot::PhysicalMemory&, abi::BootInfo&);
void drop_image_name(abi::BootInfo&);

}  // namespace bulkhead::init
