// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/image.hpp"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>

using namespace bulkhead::supervisor;

namespace {

struct File {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> programs;

    File() {
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_machine = EM_X86_64;
        header.e_type = ET_DYN;
        header.e_phentsize = sizeof(Elf64_Phdr);
        header.e_phoff = sizeof header;
        header.e_entry = 0x1010;
        add(PF_R, 0, 0, 0x300);
        add(PF_R | PF_X, 0x1000, 0x1000, 0x200);
        add(PF_R | PF_W, 0x2000, 0x2000, 0x100, 0x5000);
    }
    void add(uint32_t flags, uint64_t offset, uint64_t address, uint64_t size, uint64_t memory = 0) {
        Elf64_Phdr program{};
        program.p_type = PT_LOAD;
        program.p_flags = flags;
        program.p_offset = offset;
        program.p_vaddr = address;
        program.p_filesz = size;
        program.p_memsz = memory ? memory : size;
        programs.push_back(program);
    }
    std::vector<uint8_t> bytes() {
        header.e_phnum = static_cast<uint16_t>(programs.size());
        std::vector<uint8_t> out(0x3000);
        std::memcpy(out.data(), &header, sizeof header);
        std::memcpy(out.data() + sizeof header, programs.data(), programs.size() * sizeof programs[0]);
        return out;
    }
    std::string error() {
        const auto image = parse_image(bytes());
        return image ? "" : image.error();
    }
};

}  // namespace

TEST_CASE("image: a static-PIE is described as its headers say") {
    const auto image = parse_image(File{}.bytes());
    REQUIRE(image);
    CHECK(image->entry == 0x1010);
    CHECK(image->program_headers == sizeof(Elf64_Ehdr));
    REQUIRE(image->segments.size() == 3);
    CHECK(image->segments[1].execute);
    CHECK(image->segments[2].memory_size == 0x5000);
    CHECK(image->span == 0x7000);
}

TEST_CASE("image: what is not a static-PIE is refused with the reason") {
    auto changed = [](auto change) {
        File file;
        change(file);
        return file.error();
    };
    CHECK(changed([](File&) {}).empty());
    CHECK(changed([](File& f) { f.header.e_type = ET_EXEC; }).find("-static-pie") != std::string::npos);
    CHECK(changed([](File& f) { f.programs[1].p_flags |= PF_W; }).find("both writable and executable") !=
          std::string::npos);
    CHECK(changed([](File& f) { f.programs[2].p_offset = 0x2f80; }).find("truncated") != std::string::npos);
    CHECK(changed([](File& f) { f.programs[2].p_memsz = ~uint64_t{0}; }).find("64 MiB") != std::string::npos);
    CHECK(changed([](File& f) { f.programs[2].p_filesz = 0x6000; }).find("truncated") != std::string::npos);
    CHECK(changed([](File& f) {
              f.programs[2].p_vaddr = 0x1000;
              f.programs[2].p_offset = 0x1000;
          }).find("out of order") != std::string::npos);
    CHECK(changed([](File& f) { f.programs[2].p_vaddr += 8; }).find("do not agree") != std::string::npos);
    CHECK(changed([](File& f) { f.header.e_entry = 0x2000; }).find("entry point") != std::string::npos);
    CHECK(changed([](File& f) { f.programs[0].p_type = PT_INTERP; }).find("dynamic linker") !=
          std::string::npos);
    CHECK(changed([](File& f) { f.header.e_phoff = ~uint64_t{0}; }).find("program headers") !=
          std::string::npos);
    CHECK_FALSE(parse_image({}));
}
