// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/elf.hpp"

#include "kernel/arch/x86_64/print.hpp"
#include "kernel/core/boot.hpp"

namespace bulkhead::init {
namespace {

constexpr uint32_t kLoad = 1, kExecute = 1, kWrite = 2;
constexpr uint64_t kPage = abi::kPageSize;

[[noreturn]] void refuse(const char* what, const char* why) {
    arch::klog(abi::LogLevel::Error, "kernel: bootfs: ", what, ": ", why, "\n");
    arch::panic("the root task cannot be loaded");
}

uint64_t flags_of(const ElfSegment& s) {
    return abi::map::kRead | ((s.flags & kWrite) != 0 ? abi::map::kWrite : 0) |
           ((s.flags & kExecute) != 0 ? abi::map::kExecute : 0);
}

void load_segment(const char* what, const uint8_t* file, size_t bytes, const ElfSegment& s, uint64_t bias,
                  uint64_t& mapped_to) {
    if (s.offset > bytes || s.filesz > bytes - s.offset || s.filesz > s.memsz ||
        s.memsz > (uint64_t{1} << 32))
        refuse(what, "a segment lies outside the file");
    if ((s.flags & kWrite) != 0 && (s.flags & kExecute) != 0)
        refuse(what, "a segment is writable and executable");
    const uint64_t start = s.vaddr + bias, end = start + s.memsz;
    if ((start & ~(kPage - 1)) < mapped_to) refuse(what, "two segments share a page");
    for (uint64_t page = start & ~(kPage - 1); page < end; page += kPage) {
        auto* to = static_cast<uint8_t*>(core::boot::map_page(page, flags_of(s)));
        const uint64_t from = page > start ? page : start;
        const uint64_t file_end = start + s.filesz < page + kPage ? start + s.filesz : page + kPage;
        if (from < file_end)
            __builtin_memcpy(to + (from - page), file + s.offset + (from - start), file_end - from);
        mapped_to = page + kPage;
    }
}

}  // namespace

LoadedElf load_elf(const char* what, const uint8_t* file, size_t bytes, uint64_t base) {
    ElfHeader header;
    if (bytes < sizeof(header)) refuse(what, "not an ELF file");
    __builtin_memcpy(&header, file, sizeof(header));
    constexpr uint8_t kMagic[5] = {0x7f, 'E', 'L', 'F', 2};
    if (__builtin_memcmp(header.ident, kMagic, sizeof(kMagic)) != 0 || header.machine != 62 ||
        header.type != 3)
        refuse(what, "not a position-independent x86-64 ELF program");
    if (header.phentsize != sizeof(ElfSegment) || header.phoff > bytes ||
        header.phnum > (bytes - header.phoff) / sizeof(ElfSegment))
        refuse(what, "its program headers lie outside the file");
    LoadedElf result{base, 0, 0, 0, header.phnum};
    uint64_t mapped_to = 0;
    bool first = true;
    for (unsigned i = 0; i < header.phnum; ++i) {
        ElfSegment s;
        __builtin_memcpy(&s, file + header.phoff + i * sizeof(s), sizeof(s));
        if (s.type != kLoad || s.memsz == 0) continue;
        if (first) result.bias = base - (s.vaddr & ~(kPage - 1));
        first = false;
        load_segment(what, file, bytes, s, result.bias, mapped_to);
        if (header.phoff >= s.offset && header.phoff + header.phnum * sizeof(s) <= s.offset + s.filesz)
            result.phdr = s.vaddr + result.bias + (header.phoff - s.offset);
    }
    if (first) refuse(what, "it has no segment to load");
    result.entry = header.entry + result.bias;
    return result;
}

}  // namespace bulkhead::init
