// SPDX-License-Identifier: Apache-2.0
// Makes small kernels for the loader's tests: ELF files, each compression, bzImage wrappers.
#pragma once

#include <bzlib.h>
#include <elf.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "services/vmm-stubdom/loader/decompress.hpp"

namespace bulkhead::vmm::test {

using Bytes = std::vector<std::byte>;

template <typename T>
void put_at(Bytes& image, std::size_t at, const T& value) {
    if (image.size() < at + sizeof value) image.resize(at + sizeof value);
    std::memcpy(image.data() + at, &value, sizeof value);
}

struct TestSegment {
    std::uint64_t offset, address, file_size, memory_size;
};

struct TestElf {
    std::vector<TestSegment> segments{{0x1000, 0x200000, 0x3000, 0x3000}, {0x4000, 0x203000, 0x2000, 0x5000}};
    unsigned note_size = 8;  // of the entry point; 0: no note
    std::uint32_t entry = 0x200040;
    std::uint16_t machine = EM_X86_64;
};

// A byte pattern that says where in the file it was.
inline std::byte pattern(std::uint64_t offset) {
    return static_cast<std::byte>((offset * 2654435761U) >> 13);
}

template <typename Ehdr, typename Phdr>
Bytes make_elf_of(const TestElf& spec, unsigned char elf_class) {
    Bytes image(sizeof(Ehdr));
    Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = elf_class;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = spec.machine;
    header.e_phoff = sizeof(Ehdr);
    header.e_phentsize = sizeof(Phdr);
    header.e_phnum = static_cast<std::uint16_t>(spec.segments.size() + 1);
    put_at(image, 0, header);
    std::size_t at = sizeof(Ehdr);
    for (const TestSegment& s : spec.segments) {
        Phdr program{};
        program.p_type = PT_LOAD;
        program.p_offset = static_cast<decltype(program.p_offset)>(s.offset);
        program.p_paddr = static_cast<decltype(program.p_paddr)>(s.address);
        program.p_filesz = static_cast<decltype(program.p_filesz)>(s.file_size);
        program.p_memsz = static_cast<decltype(program.p_memsz)>(s.memory_size);
        put_at(image, at, program);
        at += sizeof program;
        for (std::uint64_t i = 0; i < s.file_size; ++i) put_at(image, s.offset + i, pattern(s.offset + i));
    }
    Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = 0x800;
    note.p_filesz = note.p_memsz = spec.note_size ? 16 + 20 + spec.note_size : 16;
    put_at(image, at, note);
    put_at(image, 0x800, Elf64_Nhdr{4, 0, 5});  // another Xen note first
    put_at(image, 0x80c, std::array<char, 4>{'X', 'e', 'n', 0});
    if (spec.note_size) {
        put_at(image, 0x810, Elf64_Nhdr{4, spec.note_size, 18});
        put_at(image, 0x81c, std::array<char, 4>{'X', 'e', 'n', 0});
        put_at(image, 0x820, std::uint64_t{spec.entry});
    }
    return image;
}
inline Bytes make_elf64(const TestElf& spec = {}) {
    return make_elf_of<Elf64_Ehdr, Elf64_Phdr>(spec, ELFCLASS64);
}
inline Bytes make_elf32(const TestElf& spec = {}) {
    return make_elf_of<Elf32_Ehdr, Elf32_Phdr>(spec, ELFCLASS32);
}

inline Bytes compress(Compression format, const Bytes& in) {
    Bytes out(in.size() + 65536);
    auto* source = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    auto* target = reinterpret_cast<char*>(out.data());
    std::size_t size = 0;
    const auto run_lzma = [&](lzma_stream& s) {
        s.next_in = reinterpret_cast<std::uint8_t*>(source);
        s.avail_in = in.size();
        s.next_out = reinterpret_cast<std::uint8_t*>(target);
        s.avail_out = out.size();
        if (lzma_code(&s, LZMA_FINISH) != LZMA_STREAM_END) std::abort();
        size = out.size() - s.avail_out;
        lzma_end(&s);
    };
    lzma_options_lzma options{};
    lzma_lzma_preset(&options, 1);
    switch (format) {
        case Compression::Gzip: {
            z_stream s{};
            deflateInit2(&s, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
            s.next_in = reinterpret_cast<Bytef*>(source);
            s.avail_in = static_cast<unsigned>(in.size());
            s.next_out = reinterpret_cast<Bytef*>(target);
            s.avail_out = static_cast<unsigned>(out.size());
            deflate(&s, Z_FINISH);
            size = s.total_out;
            deflateEnd(&s);
            break;
        }
        case Compression::Xz: {
            lzma_stream s = LZMA_STREAM_INIT;
            lzma_filter filters[2] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
            if (lzma_stream_encoder(&s, filters, LZMA_CHECK_CRC32) != LZMA_OK) std::abort();
            run_lzma(s);
            break;
        }
        case Compression::Lzma: {
            lzma_stream s = LZMA_STREAM_INIT;
            if (lzma_alone_encoder(&s, &options) != LZMA_OK) std::abort();
            run_lzma(s);
            break;
        }
        case Compression::Bzip2: {
            unsigned made = static_cast<unsigned>(out.size());
            BZ2_bzBuffToBuffCompress(target, &made, source, static_cast<unsigned>(in.size()), 9, 0, 0);
            size = made;
            break;
        }
        case Compression::Zstd: size = ZSTD_compress(target, out.size(), source, in.size(), 3); break;
        case Compression::Lz4:
            size = LZ4F_compressFrame(target, out.size(), source, in.size(), nullptr);
            break;
        case Compression::Lz4Legacy: {
            Bytes all;
            put_at(all, 0, 0x184c2102U);
            for (std::size_t from = 0; from < in.size(); from += 8U << 20) {
                const int here = static_cast<int>(std::min<std::size_t>(8U << 20, in.size() - from));
                Bytes block(static_cast<std::size_t>(LZ4_compressBound(here)));
                const int made = LZ4_compress_default(source + from, reinterpret_cast<char*>(block.data()),
                                                      here, static_cast<int>(block.size()));
                block.resize(static_cast<std::size_t>(made));
                put_at(all, all.size(), static_cast<std::uint32_t>(made));
                all.insert(all.end(), block.begin(), block.end());
            }
            return all;
        }
        case Compression::Lzo: break;
    }
    out.resize(size);
    return out;
}

// `payload` with the size that it unpacks to appended (gzip carries it), as Linux's build does.
inline Bytes make_bzimage(Bytes payload, std::uint32_t unpacked_size, bool append_size = true) {
    if (append_size) put_at(payload, payload.size(), unpacked_size);
    constexpr std::size_t kSetupSectors = 3;
    constexpr std::uint32_t kOffset = 0x100;
    Bytes image((kSetupSectors + 1) * 512 + kOffset);
    put_at(image, 0x1f1, std::uint8_t{kSetupSectors});
    put_at(image, 0x1fe, std::uint16_t{0xaa55});
    put_at(image, 0x202, std::uint32_t{0x53726448});
    put_at(image, 0x206, std::uint16_t{0x020f});
    put_at(image, 0x248, kOffset);
    put_at(image, 0x24c, static_cast<std::uint32_t>(payload.size()));
    image.insert(image.end(), payload.begin(), payload.end());
    image.resize(image.size() + 300);  // what follows the payload in a real bzImage
    return image;
}

inline Bytes make_bzimage(Compression format, const Bytes& elf) {
    return make_bzimage(compress(format, elf), static_cast<std::uint32_t>(elf.size()),
                        format != Compression::Gzip);
}

}  // namespace bulkhead::vmm::test
