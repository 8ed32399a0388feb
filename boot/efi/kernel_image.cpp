// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/kernel_image.hpp"

#include <elf.h>

#include "kernel/arch/x86_64/entry_contract.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kMaxKernel = 64 << 20;

template <typename T>
T read(std::span<const uint8_t> file, uint64_t at) {
    T value;
    __builtin_memcpy(&value, file.data() + at, sizeof value);
    return value;
}

Elf64_Phdr program_header(std::span<const uint8_t> file, unsigned index) {
    const auto header = read<Elf64_Ehdr>(file, 0);
    return read<Elf64_Phdr>(file, header.e_phoff + index * sizeof(Elf64_Phdr));
}

constexpr KernelLayout bad(const char* error) {
    return {error, 0, 0};
}

}  // namespace

// Linux's x86 boot protocol: "HdrS" in the setup header.
bool is_linux_image(std::span<const uint8_t> file) {
    return file.size() >= 0x206 && __builtin_memcmp(file.data() + 0x202, "HdrS", 4) == 0;
}

KernelLayout check_kernel(std::span<const uint8_t> file) {
    if (file.size() < sizeof(Elf64_Ehdr) || __builtin_memcmp(file.data(), ELFMAG, SELFMAG) != 0)
        return bad("the kernel is not an ELF file:");
    const auto header = read<Elf64_Ehdr>(file, 0);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64 || header.e_type != ET_EXEC)
        return bad("the kernel is not a 64-bit x86 executable:");
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > 32 ||
        header.e_phoff > file.size() || header.e_phnum * sizeof(Elf64_Phdr) > file.size() - header.e_phoff)
        return bad("the kernel's program headers are damaged:");
    uint64_t end = 0;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        const auto program = program_header(file, i);
        if (program.p_type != PT_LOAD) continue;
        if (program.p_filesz > program.p_memsz || program.p_offset > file.size() ||
            program.p_filesz > file.size() - program.p_offset)
            return bad("the kernel is truncated:");
        if (program.p_paddr < arch::kKernelLinkPhysical ||
            program.p_paddr > arch::kKernelLinkPhysical + kMaxKernel || program.p_memsz > kMaxKernel)
            return bad("this is not Bulkhead's kernel (bulkhead.elf): it is linked for other addresses:");
        const uint64_t last = program.p_paddr - arch::kKernelLinkPhysical + program.p_memsz;
        if (last > end) end = last;
    }
    const uint64_t entry = header.e_entry - arch::kKernelLinkVirtual;
    if (entry >= end) return bad("the kernel's entry point lies outside of it:");
    return {nullptr, (end + 4095) & ~uint64_t{4095}, entry};
}

void place_kernel(std::span<const uint8_t> file, uint8_t* memory) {
    const auto header = read<Elf64_Ehdr>(file, 0);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        const auto program = program_header(file, i);
        if (program.p_type == PT_LOAD)
            __builtin_memcpy(memory + (program.p_paddr - arch::kKernelLinkPhysical),
                             file.data() + program.p_offset, program.p_filesz);
    }
}

}  // namespace bulkhead::boot
