// SPDX-License-Identifier: Apache-2.0
// One function per family of formats, each around the distribution's library. Internal to decompress.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "services/vmm-stubdom/loader/decompress.hpp"

namespace bulkhead::vmm {

struct Unpacked {
    enum class End : std::uint8_t { Complete, OutputFull, Truncated, NoMemory, Damaged };
    End end = End::Damaged;
    std::size_t size = 0;  // bytes written
};

enum class LzmaContainer : std::uint8_t { Xz, Alone };

[[nodiscard]] Unpacked unpack_gzip(ImageBytes in, std::span<std::byte> out, ScratchArena& arena);
[[nodiscard]] Unpacked unpack_bzip2(ImageBytes in, std::span<std::byte> out, ScratchArena& arena);
[[nodiscard]] Unpacked unpack_lzma(ImageBytes in, std::span<std::byte> out, ScratchArena& arena,
                                   LzmaContainer kind);
[[nodiscard]] Unpacked unpack_zstd(ImageBytes in, std::span<std::byte> out, Extent extent,
                                   ScratchArena& arena);
[[nodiscard]] Unpacked unpack_lz4_frame(ImageBytes in, std::span<std::byte> out, ScratchArena& arena);
// Needs no working memory. With Extent::Head it decodes part of one block only.
[[nodiscard]] Unpacked unpack_lz4_legacy(ImageBytes in, std::span<std::byte> out, Extent extent);

}  // namespace bulkhead::vmm
