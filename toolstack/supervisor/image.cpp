// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/image.hpp"

#include <elf.h>

#include <cstring>

namespace bulkhead::supervisor {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t page_up(uint64_t value) {
    return (value + kPage - 1) & ~(kPage - 1);
}
constexpr uint64_t page_down(uint64_t value) {
    return value & ~(kPage - 1);
}

std::unexpected<std::string> fail(std::string_view why) {
    return std::unexpected("image: " + std::string{why});
}

}  // namespace

std::expected<Image, std::string> parse_image(std::span<const uint8_t> file) {
    Elf64_Ehdr header;
    if (file.size() < sizeof header) return fail("is too small for an ELF file");
    std::memcpy(&header, file.data(), sizeof header);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return fail("is not an ELF file");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64 || header.e_type != ET_DYN)
        return fail("is not a position-independent x86-64 program (link it with -static-pie)");
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > 64)
        return fail("has a damaged program header table");
    if (header.e_phoff > file.size() ||
        uint64_t{header.e_phnum} * sizeof(Elf64_Phdr) > file.size() - header.e_phoff)
        return fail("is truncated: the program headers lie beyond its end");

    Image image{};
    image.entry = header.e_entry;
    image.program_header_count = header.e_phnum;
    uint64_t end = 0;
    bool entry_seen = false, headers_seen = false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr program;
        std::memcpy(&program, file.data() + header.e_phoff + i * sizeof program, sizeof program);
        if (program.p_type == PT_INTERP) return fail("asks for a dynamic linker (link it with -static-pie)");
        if (program.p_type != PT_LOAD || program.p_memsz == 0) continue;
        const bool write = program.p_flags & PF_W, execute = program.p_flags & PF_X;
        if (write && execute) return fail("has a segment that is both writable and executable");
        if (program.p_filesz > program.p_memsz || program.p_offset > file.size() ||
            program.p_filesz > file.size() - program.p_offset)
            return fail("is truncated: a segment lies beyond its end");
        if (program.p_vaddr > kMaxImageSpan || program.p_memsz > kMaxImageSpan)
            return fail("is larger than 64 MiB");
        if (program.p_vaddr % kPage != program.p_offset % kPage)
            return fail("has a segment whose offset and address do not agree");
        if (page_down(program.p_vaddr) < end)
            return fail("has segments out of order, or two on one page (link it with -z separate-code)");
        end = page_up(program.p_vaddr + program.p_memsz);
        const uint64_t within = header.e_entry - program.p_vaddr;
        entry_seen |= execute && header.e_entry >= program.p_vaddr && within < program.p_filesz;
        if (header.e_phoff >= program.p_offset && header.e_phoff < program.p_offset + program.p_filesz) {
            headers_seen = true;
            image.program_headers = program.p_vaddr + (header.e_phoff - program.p_offset);
        }
        image.segments.push_back(
            {program.p_vaddr, program.p_offset, program.p_filesz, program.p_memsz, write, execute});
    }
    if (end > kMaxImageSpan) return fail("is larger than 64 MiB");
    if (!entry_seen) return fail("has its entry point outside its code");
    if (!headers_seen) return fail("does not load its program headers");
    image.span = end;
    return image;
}

}  // namespace bulkhead::supervisor
