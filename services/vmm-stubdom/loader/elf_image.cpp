// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/elf_image.hpp"

#include <elf.h>

#include <algorithm>
#include <string>

namespace bulkhead::vmm {
namespace {

constexpr std::uint64_t kAddressLimit = 1ULL << 52;
constexpr std::uint32_t kPhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY

std::string truncated(const char* what) {
    return std::string("the kernel image is truncated: its ELF ") + what +
           " reach beyond the end of the file";
}

std::uint64_t align4(std::uint64_t value) {
    return (value + 3) & ~3ULL;
}

// The two ELF classes reduced to what matters.
struct Headers {
    std::uint64_t offset;
    unsigned entry_size;
    unsigned count;
    bool wide;
};

struct ProgramHeader {
    std::uint32_t type;
    ElfSegment segment;
};

template <typename Ehdr, typename Phdr>
Loaded<Headers> read_headers(ImageBytes head, bool wide) {
    const auto header = read_at<Ehdr>(head, 0);
    if (!header) return load_error(truncated("headers"));
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN) {
        return load_error("the kernel image is an ELF file of type " + std::to_string(header->e_type) +
                          ", not an executable");
    }
    if (header->e_machine != EM_X86_64 && (wide || header->e_machine != EM_386)) {
        return load_error("the kernel image is an ELF file for machine " + std::to_string(header->e_machine) +
                          ", not for x86");
    }
    if (header->e_phentsize != sizeof(Phdr) || header->e_phnum == 0) {
        return load_error(
            "the kernel image is damaged: its ELF program headers have the wrong size or are missing");
    }
    return Headers{header->e_phoff, header->e_phentsize, header->e_phnum, wide};
}

template <typename Phdr>
std::optional<ProgramHeader> read_program_header(ImageBytes head, std::uint64_t at) {
    const auto header = read_at<Phdr>(head, at);
    if (!header) return std::nullopt;
    return ProgramHeader{header->p_type,
                         {header->p_offset, header->p_filesz, header->p_paddr, header->p_memsz}};
}

Loaded<Headers> read_headers(ImageBytes head) {
    if (!ElfImage::has_magic(head)) return load_error("the kernel is not an ELF file");
    const auto ident = read_at<std::array<unsigned char, EI_NIDENT>>(head, 0);
    if (!ident) return load_error(truncated("headers"));
    if ((*ident)[EI_DATA] != ELFDATA2LSB)
        return load_error("the kernel image is an ELF file of the wrong byte order");
    switch ((*ident)[EI_CLASS]) {
        case ELFCLASS64: return read_headers<Elf64_Ehdr, Elf64_Phdr>(head, true);
        case ELFCLASS32: return read_headers<Elf32_Ehdr, Elf32_Phdr>(head, false);
        default: return load_error("the kernel image is an ELF file of an unknown class");
    }
}

}  // namespace

bool ElfImage::has_magic(ImageBytes image) {
    return read_at<std::array<char, 4>>(image, 0) == std::array<char, 4>{'\x7f', 'E', 'L', 'F'};
}

Loaded<void> ElfImage::add_segment(const ElfSegment& segment, std::uint64_t file_size) {
    if (segment.memory_size == 0) return {};
    if (segment.file_size > segment.memory_size) {
        return load_error("the kernel image is damaged: an ELF segment is larger in the file than in memory");
    }
    if (segment.offset > file_size || segment.file_size > file_size - segment.offset) {
        return load_error(truncated("segments"));
    }
    if (segment.address >= kAddressLimit || segment.memory_size > kAddressLimit - segment.address) {
        return load_error(
            "the kernel image is damaged: an ELF segment lies beyond the physical address space");
    }
    if (count_ == kMaxSegments)
        return load_error("the kernel image has more ELF segments than any kernel needs");
    segments_[count_++] = segment;
    return {};
}

Loaded<void> ElfImage::add_notes(const ElfSegment& notes, std::uint64_t file_size) {
    if (notes.offset > file_size || notes.file_size > file_size - notes.offset)
        return load_error(truncated("notes"));
    if (note_count_ == notes_.size())
        return load_error("the kernel image has more ELF note segments than any kernel needs");
    notes_[note_count_++] = notes;
    return {};
}

Loaded<void> ElfImage::check_layout() {
    if (count_ == 0) return load_error("the kernel image has no ELF segment to load");
    const std::span<ElfSegment> all(segments_.data(), count_);
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
    for (std::size_t i = 1; i < count_; ++i) {
        if (all[i - 1].end() > all[i].address) {
            return load_error("the kernel image is damaged: two ELF segments overlap in memory");
        }
    }
    lowest_ = all.front().address;
    highest_ = all.back().end();
    // A segment without file bytes takes part in no copying, wherever its offset points.
    const auto by_offset = [](const auto& a, const auto& b) { return a.offset < b.offset; };
    ascending_ = std::is_sorted(all.begin(), all.end(), by_offset);
    std::stable_sort(all.begin(), all.end(), by_offset);
    return {};
}

Loaded<ElfImage> ElfImage::parse(ImageBytes head, std::uint64_t file_size) {
    const auto headers = read_headers(head);
    if (!headers) return std::unexpected(headers.error());
    ElfImage image;
    for (unsigned i = 0; i < headers->count; ++i) {
        if (headers->offset > file_size) return load_error(truncated("program headers"));
        const std::uint64_t at = headers->offset + std::uint64_t{i} * headers->entry_size;
        const auto program = headers->wide ? read_program_header<Elf64_Phdr>(head, at)
                                           : read_program_header<Elf32_Phdr>(head, at);
        if (!program) return load_error(truncated("program headers"));
        Loaded<void> added;
        if (program->type == PT_LOAD) added = image.add_segment(program->segment, file_size);
        if (program->type == PT_NOTE) added = image.add_notes(program->segment, file_size);
        if (!added) return std::unexpected(added.error());
    }
    if (const auto layout = image.check_layout(); !layout) return std::unexpected(layout.error());
    return image;
}

Loaded<std::uint32_t> ElfImage::pvh_entry(ImageBytes file) const {
    for (const ElfSegment& segment : std::span(notes_.data(), note_count_)) {
        const auto notes = slice(file, segment.offset, segment.file_size);
        if (!notes) return load_error(truncated("notes"));
        for (std::uint64_t at = 0; const auto note = read_at<Elf64_Nhdr>(*notes, at);) {
            const std::uint64_t name_at = at + sizeof(Elf64_Nhdr);
            const std::uint64_t value_at = name_at + align4(note->n_namesz);
            const auto name = slice(*notes, name_at, note->n_namesz);
            const auto value = slice(*notes, value_at, note->n_descsz);
            if (!name || !value) return load_error("the kernel image is damaged: an ELF note is cut short");
            at = value_at + align4(note->n_descsz);
            if (note->n_type != kPhys32Entry || note->n_namesz != 4 ||
                std::memcmp(name->data(), "Xen", 4) != 0)
                continue;
            std::uint64_t entry = 0;
            if (note->n_descsz != 4 && note->n_descsz != 8) {
                return load_error(
                    "the kernel image is damaged: its PVH entry point is neither 4 nor 8 bytes long");
            }
            std::memcpy(&entry, value->data(), note->n_descsz);
            const bool inside =
                std::any_of(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count_),
                            [&](const auto& s) { return entry >= s.address && entry < s.end(); });
            if (!inside || entry > 0xffff'ffff) {
                return load_error("the kernel image is damaged: its PVH entry point is outside its segments");
            }
            return static_cast<std::uint32_t>(entry);
        }
    }
    return load_error(
        "the kernel has no PVH entry point (ELF note XEN_ELFNOTE_PHYS32_ENTRY): "
        "a Linux kernel needs CONFIG_PVH or CONFIG_XEN_PVH");
}

}  // namespace bulkhead::vmm
