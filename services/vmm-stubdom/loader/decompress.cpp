// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/decompress.hpp"

#include <array>
#include <cstring>
#include <string>

#include "services/vmm-stubdom/loader/decompress_formats.hpp"

namespace bulkhead::vmm {
namespace {

struct Magic {
    Compression format;
    std::size_t size;
    std::array<unsigned char, 9> bytes;
};

constexpr std::array<Magic, 8> kMagics{{
    {Compression::Gzip, 3, {0x1f, 0x8b, 0x08}},
    {Compression::Xz, 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    {Compression::Bzip2, 3, {'B', 'Z', 'h'}},
    {Compression::Zstd, 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {Compression::Lz4, 4, {0x04, 0x22, 0x4d, 0x18}},
    {Compression::Lz4Legacy, 4, {0x02, 0x21, 0x4c, 0x18}},
    {Compression::Lzo, 9, {0x89, 'L', 'Z', 'O', 0, 0x0d, 0x0a, 0x1a, 0x0a}},
    {Compression::Lzma, 3, {0x5d, 0, 0}},  // weakest last: properties byte and a round dictionary size
}};

}  // namespace

std::optional<Compression> detect_compression(ImageBytes data) {
    for (const Magic& magic : kMagics) {
        if (data.size() >= magic.size && std::memcmp(data.data(), magic.bytes.data(), magic.size) == 0) {
            return magic.format;
        }
    }
    return std::nullopt;
}

const char* name_of(Compression format) {
    switch (format) {
        case Compression::Gzip: return "gzip";
        case Compression::Xz: return "xz";
        case Compression::Lzma: return "lzma";
        case Compression::Bzip2: return "bzip2";
        case Compression::Zstd: return "zstd";
        case Compression::Lz4: return "lz4";
        case Compression::Lz4Legacy: return "legacy lz4";
        case Compression::Lzo: return "lzo";
    }
    return "unknown";
}

Loaded<std::size_t> decompress(Compression format, ImageBytes in, std::span<std::byte> out, Extent extent,
                               ScratchArena& arena) {
    Unpacked result;
    switch (format) {
        case Compression::Gzip: result = unpack_gzip(in, out, arena); break;
        case Compression::Xz: result = unpack_lzma(in, out, arena, LzmaContainer::Xz); break;
        case Compression::Lzma: result = unpack_lzma(in, out, arena, LzmaContainer::Alone); break;
        case Compression::Bzip2: result = unpack_bzip2(in, out, arena); break;
        case Compression::Zstd: result = unpack_zstd(in, out, extent, arena); break;
        case Compression::Lz4: result = unpack_lz4_frame(in, out, arena); break;
        case Compression::Lz4Legacy: result = unpack_lz4_legacy(in, out, extent); break;
        case Compression::Lzo: return load_error("the kernel is compressed with lzo, which is not supported");
    }
    const std::string subject = std::string("the kernel's ") + name_of(format) + " payload ";
    switch (result.end) {
        case Unpacked::End::Complete: return result.size;
        case Unpacked::End::OutputFull:
            if (extent == Extent::Head) return result.size;
            return load_error(subject + "unpacks to more than " + std::to_string(out.size()) +
                              " bytes; give the guest more memory if the kernel is really that large");
        case Unpacked::End::Truncated: return load_error(subject + "is truncated");
        case Unpacked::End::NoMemory:
            return load_error(subject +
                              "needs more memory to unpack than the guest has to spare; give it more");
        case Unpacked::End::Damaged: return load_error(subject + "is damaged");
    }
    return load_error(subject + "is damaged");
}

}  // namespace bulkhead::vmm
