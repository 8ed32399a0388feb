// SPDX-License-Identifier: Apache-2.0
// An ELF kernel: which bytes go where in guest-physical memory, and its PVH entry point. Accepts ELF64 and
// ELF32 for x86-64 and i386 (an ELF32 file may say x86-64: objcopy makes such kernels). Everything is
// validated here, so that the loader can act without looking back.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "services/vmm-stubdom/loader/image_reader.hpp"
#include "services/vmm-stubdom/loader/load_error.hpp"

namespace bulkhead::vmm {

struct ElfSegment {
    std::uint64_t offset = 0;  // in the file
    std::uint64_t file_size = 0;
    std::uint64_t address = 0;  // p_paddr
    std::uint64_t memory_size = 0;

    [[nodiscard]] std::uint64_t end() const { return address + memory_size; }
};

class ElfImage {
  public:
    static constexpr std::size_t kMaxSegments = 32;
    // Program headers of every linker's output are within the file's first page.
    static constexpr std::size_t kHeaderBytes = 4096;

    [[nodiscard]] static bool has_magic(ImageBytes image);

    // Needs only the file's beginning: `head` with the ELF and program headers. `file_size` is the whole
    // file's.
    [[nodiscard]] static Loaded<ElfImage> parse(ImageBytes head, std::uint64_t file_size);

    // PT_LOAD segments by ascending file offset; they do not overlap in memory, and lie below 2^52.
    [[nodiscard]] std::span<const ElfSegment> segments() const { return {segments_.data(), count_}; }
    [[nodiscard]] bool ascending_in_memory() const { return ascending_; }
    [[nodiscard]] std::uint64_t lowest() const { return lowest_; }
    [[nodiscard]] std::uint64_t highest() const { return highest_; }

    // XEN_ELFNOTE_PHYS32_ENTRY of the complete file.
    [[nodiscard]] Loaded<std::uint32_t> pvh_entry(ImageBytes file) const;

  private:
    [[nodiscard]] Loaded<void> add_segment(const ElfSegment& segment, std::uint64_t file_size);
    [[nodiscard]] Loaded<void> add_notes(const ElfSegment& notes, std::uint64_t file_size);
    [[nodiscard]] Loaded<void> check_layout();

    std::array<ElfSegment, kMaxSegments> segments_{};
    std::size_t count_ = 0;
    std::array<ElfSegment, 8> notes_{};
    std::size_t note_count_ = 0;
    std::uint64_t lowest_ = 0;
    std::uint64_t highest_ = 0;
    bool ascending_ = true;
};

}  // namespace bulkhead::vmm
