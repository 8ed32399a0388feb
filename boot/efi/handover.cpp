// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/handover.hpp"

#include "boot/efi/files.hpp"
#include "boot/memmap/efi_map.hpp"

namespace bulkhead::boot {
namespace {

using abi::MemoryType;

constexpr uint64_t kPage = 4096, kGiB = uint64_t{1} << 30, kLarge = uint64_t{2} << 20;
constexpr uint64_t kMapBytes = 64 * 1024;  // of the firmware's memory map: more than 1300 entries
constexpr uint64_t kPresentWritable = 3, kLargePage = 0x80;

// 2 MiB identity mappings of [0, 4 GiB) and of the GiB that this code runs in.
uint64_t build_page_tables() {
    const uint64_t here = reinterpret_cast<uint64_t>(&build_page_tables) & ~(kGiB - 1);
    const uint64_t table_pages = 2 + 4 + 2;
    auto* tables = reinterpret_cast<uint64_t(*)[512]>(
        allocate_pages(table_pages, kPage, 4 * kGiB, EfiLoaderData, "page tables"));
    for (uint64_t i = 0; i < table_pages * 512; i++) tables[0][i] = 0;
    auto address = [&](uint64_t index) {
        return reinterpret_cast<uint64_t>(tables[index]) | kPresentWritable;
    };
    auto fill = [&](uint64_t table, uint64_t base) {
        for (uint64_t i = 0; i < 512; i++)
            tables[table][i] = (base + i * kLarge) | kPresentWritable | kLargePage;
    };
    tables[0][0] = address(1);
    for (uint64_t gib = 0; gib < 4; gib++) {
        tables[1][gib] = address(2 + gib);
        fill(2 + gib, gib * kGiB);
    }
    if (here >= 4 * kGiB) {
        const uint64_t pml4 = here >> 39 & 511, pdpt = here >> 30 & 511;
        if (pml4 != 0) tables[0][pml4] = address(6);
        tables[pml4 != 0 ? 6 : 1][pdpt] = address(7);
        fill(7, here);
    }
    return reinterpret_cast<uint64_t>(tables[0]);
}

[[noreturn]] void jump(uint64_t cr3, uint64_t entry, abi::BootInfo& info) {
    asm volatile("cli; mov %0, %%cr3; jmp *%1" : : "r"(cr3), "r"(entry), "D"(&info) : "memory");
    __builtin_unreachable();
}

void fill_ranges(abi::BootInfo& info, MemoryMap& map, const uint8_t* descriptors, uint64_t bytes,
                 uint64_t each) {
    __builtin_memset(static_cast<void*>(&map), 0, sizeof map);
    info.ranges = 0;
    if (!add_efi_map(map, descriptors, bytes, each)) return;  // ranges stays 0
    bool whole = map.add(info.kernel_base, info.kernel_size, MemoryType::Kernel);
    for (uint32_t i = 0; i < info.modules; i++)
        whole &= map.add(info.module[i].base, (info.module[i].size + kPage - 1) & ~(kPage - 1),
                         MemoryType::Module);
    whole &= map.add(reinterpret_cast<uint64_t>(&info), sizeof info, MemoryType::Boot);
    if (whole) info.ranges = static_cast<uint32_t>(map.normalise(info.range, 512));
}

}  // namespace

void hand_over(EFI_HANDLE image, abi::BootInfo& info, uint64_t kernel_entry) {
    uint64_t cr4;
    asm("mov %%cr4, %0" : "=r"(cr4));
    if (cr4 >> 12 & 1)
        fail({},
             "the firmware runs with 5-level page tables, which Bulkhead does not support yet; switch LA57 "
             "off in the firmware's setup");
    const uint64_t cr3 = build_page_tables();
    auto* descriptors = reinterpret_cast<uint8_t*>(
        allocate_pages(kMapBytes / kPage, kPage, ~uint64_t{0}, EfiLoaderData, "the memory map"));
    auto* map = reinterpret_cast<MemoryMap*>(allocate_pages((sizeof(MemoryMap) + kPage - 1) / kPage, kPage,
                                                            ~uint64_t{0}, EfiLoaderData, "the memory map"));

    // The map may change between the two calls, also by the first attempt to exit (UEFI 2.10, 7.4.6): try
    // again with a fresh one.
    EFI_STATUS status = EFI_ABORTED;
    UINTN bytes = 0, key = 0, each = 0;
    for (unsigned attempt = 0; attempt < 4 && EFI_ERROR(status); attempt++) {
        UINT32 version;
        bytes = kMapBytes;
        status = BS->GetMemoryMap(&bytes, reinterpret_cast<EFI_MEMORY_DESCRIPTOR*>(descriptors), &key, &each,
                                  &version);
        if (EFI_ERROR(status)) fail({}, "the firmware does not tell its memory map", {}, status);
        fill_ranges(info, *map, descriptors, bytes, each);
        if (info.ranges == 0) fail({}, "the firmware's memory map has more entries than Bulkhead takes");
        status = BS->ExitBootServices(image, key);
    }
    if (EFI_ERROR(status)) fail({}, "the firmware does not let go of the machine", {}, status);
    jump(cr3, kernel_entry, info);
}

}  // namespace bulkhead::boot
