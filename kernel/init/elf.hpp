// SPDX-License-Identifier: Apache-2.0
// As much of ELF64 as loading a static-PIE takes. The modules come with the boot medium, so mistakes are
// reported, not survived.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace bulkhead::init {

struct ElfHeader {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
static_assert(sizeof(ElfHeader) == 64);

struct ElfSegment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
static_assert(sizeof(ElfSegment) == 56);

struct LoadedElf {
    uint64_t base;  // where its first page lies
    uint64_t bias;  // address = vaddr + bias
    uint64_t entry;
    uint64_t phdr;  // address of the program headers, 0: not in a segment
    uint16_t phnum;
};

// Maps the segments with their first page at `base` through core::boot::map_page; panics with `what` in the
// message.
LoadedElf load_elf(const char* what, const uint8_t* file, size_t bytes, uint64_t base);

}  // namespace bulkhead::init
