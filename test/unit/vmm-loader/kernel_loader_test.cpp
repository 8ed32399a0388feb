// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/kernel_loader.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "services/vmm-stubdom/loader/elf_image.hpp"
#include "services/vmm-stubdom/loader/wide_copy.hpp"
#include "test/unit/vmm-loader/image_maker.hpp"
#include "test/unit/vmm-loader/test_ram.hpp"

namespace bulkhead::vmm {
namespace {

using namespace test;

constexpr std::uint64_t kRam = 16ULL << 20;

constexpr Compression kFormats[] = {Compression::Gzip,     Compression::Xz,   Compression::Lzma,
                                    Compression::Bzip2,    Compression::Zstd, Compression::Lz4,
                                    Compression::Lz4Legacy};

Loaded<LoadedKernel> load(const TestRam& ram, const Bytes& image, std::uint64_t size = kRam) {
    return load_kernel(ram.memory(), GuestLayout(size), image);
}

std::string refusal(const Bytes& image, std::uint64_t size = kRam) {
    TestRam ram(size);
    const auto result = load(ram, image, size);
    return result ? "loaded" : result.error().sentence;
}

void check_segments(const TestRam& ram, const TestElf& spec) {
    for (const TestSegment& s : spec.segments) {
        std::uint64_t wrong = 0;
        for (std::uint64_t i = 0; i < s.memory_size; ++i) {
            const std::byte expected = i < s.file_size ? pattern(s.offset + i) : std::byte{0};
            wrong += ram.host()[s.address + i] != expected;
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("raw ELF kernels load by physical address, with .bss cleared") {
    const TestElf spec;
    for (const Bytes& image : {make_elf64(spec), make_elf32(spec)}) {
        TestRam ram(kRam);
        std::memset(ram.host(), 0xee, kRam);
        const auto kernel = load(ram, image);
        REQUIRE(kernel);
        CHECK(kernel->entry == spec.entry);
        CHECK(kernel->lowest == 0x200000);
        CHECK(kernel->highest == 0x208000);
        check_segments(ram, spec);
    }
    TestElf i386;
    i386.machine = EM_386;
    i386.note_size = 4;
    TestRam ram(kRam);
    CHECK(load(ram, make_elf32(i386))->entry == spec.entry);
}

TEST_CASE("every compression loads, in a bzImage and bare, whatever the layout") {
    TestElf
        moved;  // the shape of Debian's kernels: later segments closer together in memory than in the file
    moved.segments = {{0x1000, 0x200000, 0x3000, 0x3000},
                      {0x8000, 0x203000, 0x100, 0x800},
                      {0x9000, 0x204000, 0x2000, 0x9000}};
    TestElf reversed;
    reversed.segments = {{0x1000, 0x400000, 0x3000, 0x3000}, {0x5000, 0x200000, 0x2000, 0x9000}};
    TestElf low;  // the file's beginning would lie below 1 MiB
    low.segments = {{0x200000, 0x100000, 0x3000, 0x4000}};
    low.entry = 0x100000;
    for (const TestElf& spec : {TestElf{}, moved, reversed, low}) {
        const Bytes elf = make_elf64(spec);
        for (const Compression format : kFormats) {
            for (const bool wrapped : {true, false}) {
                INFO(name_of(format) << (wrapped ? " bzImage" : " bare"));
                TestRam ram(kRam);
                std::memset(ram.host() + kKernelRamBase, 0xee, kRam - kKernelRamBase);
                const auto kernel = load(ram, wrapped ? make_bzimage(format, elf) : compress(format, elf));
                if (!kernel) FAIL(kernel.error().sentence);
                CHECK(kernel->entry == spec.entry);
                check_segments(ram, spec);
            }
        }
    }
}

TEST_CASE("a damaged or truncated payload is refused in every compression, never loaded wrong") {
    const Bytes elf = make_elf64();
    for (const Compression format : kFormats) {
        INFO(name_of(format));
        const Bytes good = compress(format, elf);
        Bytes cut = good;
        cut.resize(good.size() / 2);
        CHECK(refusal(make_bzimage(cut, static_cast<std::uint32_t>(elf.size()))) != "loaded");
        CHECK(refusal(make_bzimage(good, static_cast<std::uint32_t>(elf.size() - 1), true)) != "loaded");
        CHECK(refusal(make_bzimage(good, 0xffff'ffff, true)) != "loaded");
        for (std::size_t at = 0; at < good.size(); at += good.size() / 97 + 1) {
            Bytes bad = good;
            bad[at] ^= std::byte{0x55};
            TestRam ram(kRam);
            (void)load(ram,
                       make_bzimage(bad, static_cast<std::uint32_t>(elf.size())));  // no crash, no overrun
        }
    }
}

TEST_CASE("refusals are sentences that name the cause") {
    const Bytes elf = make_elf64();
    const auto has = [](const std::string& text, const char* part) {
        INFO(text);
        return text.find(part) != std::string::npos;
    };
    CHECK(has(refusal({}), "is empty"));
    CHECK(has(refusal(Bytes(4096)), "neither a bzImage nor an ELF"));
    TestElf none;
    none.note_size = 0;
    CHECK(has(refusal(make_elf64(none)), "no PVH entry point"));
    TestElf stray;
    stray.entry = 0x100;
    CHECK(has(refusal(make_elf64(stray)), "outside its segments"));
    TestElf odd;
    odd.note_size = 6;
    CHECK(has(refusal(make_elf64(odd)), "neither 4 nor 8"));
    TestElf arm;
    arm.machine = EM_AARCH64;
    CHECK(has(refusal(make_elf64(arm)), "machine 183"));
    TestElf overlap;
    overlap.segments[1].address = 0x202000;
    CHECK(has(refusal(make_elf64(overlap)), "overlap"));
    TestElf below;
    below.segments[0].address = 0x1000;
    CHECK(has(refusal(make_elf64(below)), "below 1 MiB"));
    CHECK(has(refusal(make_bzimage(Compression::Gzip, make_elf64(below))), "below 1 MiB"));
    TestElf large;
    large.segments[1].memory_size = kRam;
    CHECK(has(refusal(make_elf64(large)), "too little memory"));
    TestElf wrapping;
    wrapping.segments[1].memory_size = ~0ULL;
    CHECK(has(refusal(make_elf64(wrapping)), "beyond the physical address space"));
    TestElf shrunk;
    shrunk.segments[1].memory_size = 1;
    CHECK(has(refusal(make_elf64(shrunk)), "larger in the file"));

    Bytes cut = elf;
    cut.resize(0x4800);
    CHECK(has(refusal(cut), "truncated"));
    cut.resize(0x90);
    CHECK(has(refusal(cut), "truncated"));
    cut.resize(20);
    CHECK(has(refusal(cut), "truncated"));

    Bytes image = make_bzimage(Compression::Xz, elf);
    Bytes short_image = image;
    short_image.resize(image.size() - 400);
    CHECK(has(refusal(short_image), "truncated"));
    Bytes old = image;
    put_at(old, 0x206, std::uint16_t{0x0204});
    CHECK(has(refusal(old), "boot protocol 2.4"));
    Bytes hollow = image;
    put_at(hollow, 0x24c, std::uint32_t{3});
    CHECK(has(refusal(hollow), "payload is empty"));
    Bytes wild = image;
    put_at(wild, 0x248, std::uint32_t{0xffff'fff0});
    put_at(wild, 0x24c, std::uint32_t{0xffff'fff0});
    CHECK(has(refusal(wild), "truncated"));
    CHECK(has(refusal(make_bzimage(Bytes(100, std::byte{7}), 100)), "neither an ELF file nor compressed"));
    CHECK(has(refusal(make_bzimage(compress(Compression::Gzip, Bytes(5000)), 0, false)), "not an ELF file"));
    Bytes lzo;
    put_at(lzo, 0, std::array<unsigned char, 9>{0x89, 'L', 'Z', 'O', 0, 0x0d, 0x0a, 0x1a, 0x0a});
    CHECK(has(refusal(make_bzimage(lzo, 4096)), "lzo, which is not supported"));
}

TEST_CASE("a compression bomb is stopped at the recorded size, and at the guest's memory") {
    const Bytes bomb = compress(Compression::Gzip, Bytes(64U << 20));
    CHECK(refusal(bomb) != "loaded");
    TestElf spec;
    Bytes elf = make_elf64(spec);
    elf.resize(40U << 20);
    const std::string text = refusal(compress(Compression::Xz, elf));
    INFO(text);
    CHECK(text.find("memory") != std::string::npos);
}

TEST_CASE("wide copies move down over themselves") {
    Bytes bytes(5000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(i);
    for (const std::size_t distance : {1U, 15U, 16U, 63U, 64U, 100U, 1000U}) {
        Bytes moved = bytes;
        wide_copy_down(moved.data(), moved.data() + distance, 3001);
        CHECK(std::memcmp(moved.data(), bytes.data() + distance, 3001) == 0);
    }
}

TEST_CASE("Debian's kernels load byte for byte", "[debian]") {
    const char* folder = std::getenv("BULKHEAD_TEST_KERNELS");
    if (!folder) return;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
        if (file.path().filename().string().rfind("vmlinuz", 0) != 0) continue;
        INFO(file.path());
        std::ifstream in(file.path(), std::ios::binary);
        Bytes image(std::filesystem::file_size(file.path()));
        in.read(reinterpret_cast<char*>(image.data()), static_cast<std::streamsize>(image.size()));
        constexpr std::uint64_t size = 256ULL << 20;
        TestRam unpacked(size), ram(size);
        const auto kernel = load(ram, image, size);
        if (!kernel) FAIL(kernel.error().sentence);
        // The same kernel unpacked elsewhere and loaded as plain ELF must give the same memory.
        const std::uint32_t payload =
            (std::to_integer<unsigned>(image[0x1f1]) + 1) * 512 + *read_at<std::uint32_t>(image, 0x248);
        const std::uint32_t length = *read_at<std::uint32_t>(image, 0x24c);
        const ImageBytes compressed = std::span(image).subspan(payload, length);
        ScratchArena arena(std::span(unpacked.host(), 128U << 20));
        const std::span<std::byte> out(unpacked.host() + (128U << 20), 128U << 20);
        const auto bytes = decompress(*detect_compression(compressed), compressed.first(length - 4), out,
                                      Extent::Whole, arena);
        REQUIRE(bytes);
        TestRam plain(size);
        const Bytes elf(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*bytes));
        const auto expected = load(plain, elf, size);
        REQUIRE(expected);
        CHECK(expected->entry == kernel->entry);
        const auto parsed = ElfImage::parse(elf, elf.size());
        for (const ElfSegment& s : parsed->segments()) {
            CHECK(std::memcmp(ram.host() + s.address, plain.host() + s.address, s.memory_size) == 0);
        }
    }
}

}  // namespace
}  // namespace bulkhead::vmm
