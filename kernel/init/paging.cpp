// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/paging.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/window.hpp"

namespace bulkhead::init {

using abi::MemoryType;
namespace pte = arch::pte;

namespace {

EarlyMemory* memory;
bool direct_map_loaded;

uint64_t* view(uint64_t physical) {
    return static_cast<uint64_t*>(direct_map_loaded ? arch::direct(physical)
                                                    : reinterpret_cast<void*>(physical));
}

constexpr uint64_t kPageOf[3] = {abi::kPageSize, uint64_t{1} << abi::kLargePageBits,
                                 uint64_t{1} << abi::kHugePageBits};

// The entry that translates `address` at `level` (0: 4 KiB pages), making the tables above it.
uint64_t* entry_for(uint64_t address, unsigned level) {
    uint64_t* table = view(arch::kernel_memory.root_physical);
    for (unsigned l = 3; l > level; --l) {
        uint64_t& e = table[(address >> (12 + 9 * l)) & 511];
        if ((e & pte::kPresent) == 0) e = memory->page() | pte::kPresent | pte::kWrite;
        table = view(e & pte::kAddress);
    }
    return &table[(address >> (12 + 9 * level)) & 511];
}

void map(uint64_t address, uint64_t physical, uint64_t bytes, uint64_t flags) {
    const unsigned largest = arch::features.huge_pages ? 2 : 1;
    while (bytes > 0) {
        unsigned level = largest;
        while (level > 0 && ((address | physical) % kPageOf[level] != 0 || bytes < kPageOf[level])) --level;
        *entry_for(address, level) = physical | flags | pte::kPresent | (level > 0 ? pte::kLarge : 0);
        address += kPageOf[level];
        physical += kPageOf[level];
        bytes -= kPageOf[level];
    }
}

bool is_ram(MemoryType type) {
    return type == MemoryType::Free || type == MemoryType::AcpiReclaim || type == MemoryType::AcpiNvs ||
           type == MemoryType::Module || type == MemoryType::Boot;
}

// Neighbours are merged first, so that a module in the middle does not break large pages. The image is left
// out: its text would be writable here.
void map_ram(const abi::BootInfo& info) {
    constexpr uint64_t kFlags = pte::kWrite | pte::kNoExecute | pte::kGlobal;
    for (uint32_t i = 0; i < info.ranges;) {
        if (!is_ram(info.range[i].type)) {
            ++i;
            continue;
        }
        const uint64_t base = info.range[i].base;
        uint64_t end = base;
        for (; i < info.ranges && is_ram(info.range[i].type) && info.range[i].base == end; ++i)
            end += info.range[i].size;
        map(K_DIRECT_BASE + base, base, end - base, kFlags);
    }
}

void map_section(const char* from, const char* to, uint64_t flags) {
    const uint64_t start = reinterpret_cast<uint64_t>(from);
    const uint64_t physical =
        start - reinterpret_cast<uint64_t>(image_start) + arch::kernel_memory.image_physical;
    for (uint64_t at = 0; at < static_cast<uint64_t>(to - from); at += abi::kPageSize)
        *entry_for(start + at, 0) = (physical + at) | flags | pte::kPresent;
}

}  // namespace

void build_kernel_root(const abi::BootInfo& info, EarlyMemory& early) {
    memory = &early;
    arch::kernel_memory.root_physical = early.page();
    // User level's roots copy the upper half once, after boot: nothing is added to the root's upper half
    // later.
    map_ram(info);
    entry_for(K_WINDOW_BASE, 0);
    map_section(image_start, text_end, pte::kGlobal);
    map_section(rodata_start, rodata_end, pte::kNoExecute | pte::kGlobal);
    map_section(data_start, data_end, pte::kWrite | pte::kNoExecute | pte::kGlobal);
    map_section(init_start, init_end, pte::kWrite);
    arch::kernel_memory.window_next = K_WINDOW_BASE + abi::kPageSize;
    arch::kernel_memory.root = static_cast<uint64_t*>(arch::direct(arch::kernel_memory.root_physical));
    arch::write_cr3(arch::kernel_memory.root_physical);
    direct_map_loaded = true;
    early.use_direct_map();
}

}  // namespace bulkhead::init

namespace bulkhead::arch {

void* map_mmio(uint64_t physical, uint64_t bytes) {
    const uint64_t offset = physical % abi::kPageSize;
    const uint64_t count = (offset + bytes + abi::kPageSize - 1) / abi::kPageSize;
    const uint64_t address = kernel_memory.window_next;
    for (uint64_t i = 0; i < count; ++i)
        *init::entry_for(address + i * abi::kPageSize, 0) =
            (physical - offset + i * abi::kPageSize) | pte::kPresent | pte::kWrite | pte::kNoExecute |
            pte::kUncached | pte::kWriteThrough | pte::kGlobal;
    kernel_memory.window_next += (count + 1) * abi::kPageSize;
    return reinterpret_cast<void*>(address + offset);
}

uint64_t map_stack(uint64_t bytes) {
    const uint64_t address = kernel_memory.window_next;
    for (uint64_t at = 0; at < bytes; at += abi::kPageSize)
        *init::entry_for(address + at, 0) =
            init::memory->page() | pte::kPresent | pte::kWrite | pte::kNoExecute | pte::kGlobal;
    kernel_memory.window_next += bytes + abi::kPageSize;
    return address + bytes;
}

}  // namespace bulkhead::arch
