// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/kernel_image.hpp"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernel/arch/x86_64/entry_contract.hpp"

using namespace bulkhead;
using namespace bulkhead::boot;

namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint64_t kContent = 0x1000;

Bytes kernel() {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    header.e_entry = arch::kKernelLinkVirtual + 0x10;
    Elf64_Phdr program{};
    program.p_type = PT_LOAD;
    program.p_offset = kContent;
    program.p_paddr = arch::kKernelLinkPhysical;
    program.p_filesz = 0x20;
    program.p_memsz = 0x1020;
    Bytes file(kContent + 0x20, 0xcc);
    std::memcpy(file.data(), &header, sizeof header);
    std::memcpy(file.data() + sizeof header, &program, sizeof program);
    return file;
}

template <typename Change>
std::string error_with(Change change) {
    Bytes file = kernel();
    Elf64_Ehdr header;
    Elf64_Phdr program;
    std::memcpy(&header, file.data(), sizeof header);
    std::memcpy(&program, file.data() + sizeof header, sizeof program);
    change(header, program);
    std::memcpy(file.data(), &header, sizeof header);
    std::memcpy(file.data() + sizeof(Elf64_Ehdr), &program, sizeof program);
    const KernelLayout layout = check_kernel(file);
    return layout.error ? layout.error : "";
}

}  // namespace

TEST_CASE("kernel image: laid out as the entry contract says") {
    const Bytes file = kernel();
    const KernelLayout layout = check_kernel(file);
    REQUIRE(layout.error == nullptr);
    CHECK(layout.bytes == 0x2000);
    CHECK(layout.entry_offset == 0x10);
    Bytes memory(layout.bytes);
    place_kernel(file, memory.data());
    CHECK(memory[0x1f] == 0xcc);
    CHECK(memory[0x20] == 0);
}

TEST_CASE("kernel image: what is no kernel of ours is named") {
    Bytes linux_image(0x300);
    std::memcpy(linux_image.data() + 0x202, "HdrS", 4);
    CHECK(is_linux_image(linux_image));
    CHECK_FALSE(is_linux_image(kernel()));
    CHECK_FALSE(is_linux_image({}));
    CHECK(check_kernel({}).error == std::string{"the kernel is not an ELF file:"});
    CHECK(error_with([](auto& h, auto&) { h.e_ident[EI_CLASS] = ELFCLASS32; }) ==
          "the kernel is not a 64-bit x86 executable:");
    CHECK(error_with([](auto& h, auto&) { h.e_type = ET_DYN; }) ==
          "the kernel is not a 64-bit x86 executable:");
    CHECK(error_with([](auto& h, auto&) { h.e_phoff = ~uint64_t{0} - 3; }) ==
          "the kernel's program headers are damaged:");
    CHECK(error_with([](auto&, auto& p) { p.p_offset = kContent + 1; }) == "the kernel is truncated:");
    CHECK(error_with([](auto&, auto& p) { p.p_filesz = ~uint64_t{0}; }) == "the kernel is truncated:");
    CHECK(error_with([](auto&, auto& p) { p.p_memsz = 1; }) == "the kernel is truncated:");
    // Linux's vmlinux is an ELF file, too.
    CHECK(error_with([](auto&, auto& p) {
              p.p_paddr = 0x1000000000;
          }).find("this is not Bulkhead's kernel") == 0);
    CHECK(error_with([](auto& h, auto&) { h.e_entry = 0; }) ==
          "the kernel's entry point lies outside of it:");
}

TEST_CASE("kernel image: a damaged file is refused or placed within its layout") {
    std::mt19937 random{13};
    for (unsigned round = 0; round < 20000; round++) {
        Bytes file = kernel();
        for (unsigned i = 0; i < 4; i++) file[random() % 0x78] = static_cast<uint8_t>(random());
        file.resize(random() % 4 ? file.size() : random() % file.size());
        const KernelLayout layout = check_kernel(file);
        if (layout.error || layout.bytes > (1 << 20)) continue;
        Bytes memory(layout.bytes);
        place_kernel(file, memory.data());
    }
}
