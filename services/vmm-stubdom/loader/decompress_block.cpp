// SPDX-License-Identifier: Apache-2.0
// zstd and both lz4 formats.
#define LZ4F_STATIC_LINKING_ONLY  // for the context with a caller's allocator
#define ZSTD_STATIC_LINKING_ONLY
#include <lz4.h>
#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <climits>

#include "services/vmm-stubdom/loader/decompress_formats.hpp"

namespace bulkhead::vmm {
namespace {

using End = Unpacked::End;

constexpr std::uint32_t kLegacyMagic = 0x184c2102;
constexpr std::size_t kLegacyBlock = 8U << 20;  // what one block unpacks to, but for the last

void* take(void* arena, std::size_t size) {
    return static_cast<ScratchArena*>(arena)->allocate(size);
}
void give_back(void* arena, void* block) {
    static_cast<ScratchArena*>(arena)->release(block);
}

}  // namespace

Unpacked unpack_zstd(ImageBytes in, std::span<std::byte> out, Extent extent, ScratchArena& arena) {
    ZSTD_DCtx* context = ZSTD_createDCtx_advanced({take, give_back, &arena});
    if (!context) return {End::NoMemory, 0};
    // With a stable output the window is the output itself: no second copy of up to 128 MiB. It must hold
    // everything.
    ZSTD_DCtx_setParameter(context, ZSTD_d_stableOutBuffer, extent == Extent::Whole ? 1 : 0);
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOWLOG_MAX_64);
    ZSTD_inBuffer source{in.data(), in.size(), 0};
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    End end = End::Damaged;
    for (;;) {
        const std::size_t before_in = source.pos;
        const std::size_t before_out = target.pos;
        const std::size_t hint = ZSTD_decompressStream(context, &target, &source);
        if (ZSTD_isError(hint)) {
            const ZSTD_ErrorCode code = ZSTD_getErrorCode(hint);
            const bool full =
                code == ZSTD_error_dstSize_tooSmall || code == ZSTD_error_noForwardProgress_destFull;
            if (full) end = End::OutputFull;
            if (code == ZSTD_error_memory_allocation || arena.exhausted()) end = End::NoMemory;
            break;
        }
        if (hint == 0) {
            end = End::Complete;
            break;
        }
        if (source.pos == before_in && target.pos == before_out) {
            end = source.pos == in.size() ? End::Truncated : End::OutputFull;
            break;
        }
    }
    ZSTD_freeDCtx(context);
    return {end, target.pos};
}

Unpacked unpack_lz4_frame(ImageBytes in, std::span<std::byte> out, ScratchArena& arena) {
    LZ4F_dctx* context =
        LZ4F_createDecompressionContext_advanced({take, nullptr, give_back, &arena}, LZ4F_VERSION);
    if (!context) return {End::NoMemory, 0};
    LZ4F_decompressOptions_t options{};
    options.stableDst = 1;
    std::size_t taken = 0;
    std::size_t made = 0;
    End end = End::Damaged;
    for (;;) {
        std::size_t give = in.size() - taken;
        std::size_t room = out.size() - made;
        const std::size_t hint =
            LZ4F_decompress(context, out.data() + made, &room, in.data() + taken, &give, &options);
        if (LZ4F_isError(hint)) {
            end = arena.exhausted() ? End::NoMemory : End::Damaged;
            break;
        }
        taken += give;
        made += room;
        if (hint == 0) {
            end = End::Complete;
            break;
        }
        if (give == 0 && room == 0) {
            end = made == out.size() ? End::OutputFull : End::Truncated;
            break;
        }
    }
    LZ4F_freeDecompressionContext(context);
    return {end, made};
}

Unpacked unpack_lz4_legacy(ImageBytes in, std::span<std::byte> out, Extent extent) {
    if (read_at<std::uint32_t>(in, 0) != kLegacyMagic) return {End::Damaged, 0};
    std::size_t taken = 4;
    std::size_t made = 0;
    while (taken < in.size()) {
        const auto size = read_at<std::uint32_t>(in, taken);
        if (!size) return {End::Truncated, made};
        taken += 4;
        if (*size == kLegacyMagic) continue;  // a stream may be several, one after the other
        if (*size == 0 || *size > static_cast<std::uint32_t>(LZ4_COMPRESSBOUND(kLegacyBlock)))
            return {End::Damaged, made};
        const auto block = slice(in, taken, *size);
        if (!block) return {End::Truncated, made};
        const std::size_t room = std::min(out.size() - made, kLegacyBlock);
        const auto* source = reinterpret_cast<const char*>(block->data());
        auto* target = reinterpret_cast<char*>(out.data() + made);
        if (extent == Extent::Head) {
            const int got = LZ4_decompress_safe_partial(source, target, static_cast<int>(*size),
                                                        static_cast<int>(room), static_cast<int>(room));
            if (got < 0) return {End::Damaged, made};
            return {static_cast<std::size_t>(got) == room ? End::OutputFull : End::Complete,
                    static_cast<std::size_t>(got)};
        }
        const int got = LZ4_decompress_safe(source, target, static_cast<int>(*size), static_cast<int>(room));
        // The library does not tell a full output from damage; a room smaller than a block decides.
        if (got < 0) return {room < kLegacyBlock ? End::OutputFull : End::Damaged, made};
        made += static_cast<std::size_t>(got);
        taken += *size;
    }
    return {made == 0 ? End::Truncated : End::Complete, made};
}

}  // namespace bulkhead::vmm
