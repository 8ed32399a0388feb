// SPDX-License-Identifier: Apache-2.0
// Decompressors for kernel images. Input is untrusted; output is bounded by the span given; working memory
// comes from the arena, so that a bad image exhausts the guest's RAM and nothing of the VMM's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "services/vmm-stubdom/loader/image_reader.hpp"
#include "services/vmm-stubdom/loader/load_error.hpp"
#include "services/vmm-stubdom/loader/scratch_arena.hpp"

namespace bulkhead::vmm {

enum class Compression : std::uint8_t { Gzip, Xz, Lzma, Bzip2, Zstd, Lz4, Lz4Legacy, Lzo };

[[nodiscard]] std::optional<Compression> detect_compression(ImageBytes data);
[[nodiscard]] const char* name_of(Compression format);

enum class Extent : std::uint8_t {
    Whole,  // all of it must fit
    Head,   // stop when the output is full
};

// Gives the number of bytes written. Bytes after the end of the compressed stream are ignored.
[[nodiscard]] Loaded<std::size_t> decompress(Compression format, ImageBytes in, std::span<std::byte> out,
                                             Extent extent, ScratchArena& arena);

}  // namespace bulkhead::vmm
