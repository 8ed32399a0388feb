// SPDX-License-Identifier: Apache-2.0
// gzip, bzip2, xz and lzma: libraries with the same shape of streaming interface. Each gets all input at
// once; sizes go in pieces below 4 GiB because two of the interfaces count in 32 bits.
#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>

#include <algorithm>

#include "services/vmm-stubdom/loader/decompress_formats.hpp"

namespace bulkhead::vmm {
namespace {

using End = Unpacked::End;

constexpr std::size_t kPiece = 1U << 30;

unsigned piece(std::size_t size) {
    return static_cast<unsigned>(std::min(size, kPiece));
}

void* product(void* arena, std::size_t count, std::size_t size) {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
    return static_cast<ScratchArena*>(arena)->allocate(bytes);
}
void give_back(void* arena, void* block) {
    static_cast<ScratchArena*>(arena)->release(block);
}

void* zlib_allocate(void* arena, unsigned count, unsigned size) {
    return product(arena, count, size);
}
void* bzip2_allocate(void* arena, int count, int size) {
    if (count < 0 || size < 0) return nullptr;
    return product(arena, static_cast<std::size_t>(count), static_cast<std::size_t>(size));
}

// Why a stream stopped that neither ended nor failed.
End stalled(std::size_t out_left) {
    return out_left == 0 ? End::OutputFull : End::Truncated;
}

}  // namespace

Unpacked unpack_gzip(ImageBytes in, std::span<std::byte> out, ScratchArena& arena) {
    z_stream stream{};
    stream.zalloc = zlib_allocate;
    stream.zfree = give_back;
    stream.opaque = &arena;
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return {End::NoMemory, 0};
    std::size_t taken = 0;
    std::size_t made = 0;
    int status = Z_OK;
    // zlib's input pointer lacks a const; it does not write through it.
    auto* const source = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    auto* const target = reinterpret_cast<Bytef*>(out.data());
    while (status == Z_OK) {
        const unsigned give = piece(in.size() - taken);
        const unsigned room = piece(out.size() - made);
        stream.next_in = source + taken;
        stream.avail_in = give;
        stream.next_out = target + made;
        stream.avail_out = room;
        status = inflate(&stream, Z_NO_FLUSH);
        taken += give - stream.avail_in;
        made += room - stream.avail_out;
        if (status == Z_OK && give == stream.avail_in && room == stream.avail_out) break;
    }
    inflateEnd(&stream);
    switch (status) {
        case Z_STREAM_END: return {End::Complete, made};
        case Z_OK:
        case Z_BUF_ERROR: return {stalled(out.size() - made), made};
        case Z_MEM_ERROR: return {End::NoMemory, made};
        default: return {End::Damaged, made};
    }
}

Unpacked unpack_bzip2(ImageBytes in, std::span<std::byte> out, ScratchArena& arena) {
    bz_stream stream{};
    stream.bzalloc = bzip2_allocate;
    stream.bzfree = give_back;
    stream.opaque = &arena;
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) return {End::NoMemory, 0};
    std::size_t taken = 0;
    std::size_t made = 0;
    int status = BZ_OK;
    auto* const source = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    auto* const target = reinterpret_cast<char*>(out.data());
    while (status == BZ_OK) {
        const unsigned give = piece(in.size() - taken);
        const unsigned room = piece(out.size() - made);
        stream.next_in = source + taken;
        stream.avail_in = give;
        stream.next_out = target + made;
        stream.avail_out = room;
        status = BZ2_bzDecompress(&stream);
        taken += give - stream.avail_in;
        made += room - stream.avail_out;
        if (status == BZ_OK && give == stream.avail_in && room == stream.avail_out) break;
    }
    BZ2_bzDecompressEnd(&stream);
    switch (status) {
        case BZ_STREAM_END: return {End::Complete, made};
        case BZ_OK: return {stalled(out.size() - made), made};
        case BZ_MEM_ERROR: return {End::NoMemory, made};
        default: return {End::Damaged, made};
    }
}

Unpacked unpack_lzma(ImageBytes in, std::span<std::byte> out, ScratchArena& arena, LzmaContainer kind) {
    const lzma_allocator allocator{product, give_back, &arena};
    lzma_stream stream = LZMA_STREAM_INIT;
    stream.allocator = &allocator;
    const lzma_ret opened = kind == LzmaContainer::Xz ? lzma_stream_decoder(&stream, UINT64_MAX, 0)
                                                      : lzma_alone_decoder(&stream, UINT64_MAX);
    if (opened != LZMA_OK) return {End::NoMemory, 0};
    stream.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream.avail_in = in.size();
    stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream.avail_out = out.size();
    lzma_ret status = LZMA_OK;
    while (status == LZMA_OK) status = lzma_code(&stream, LZMA_RUN);
    const std::size_t made = out.size() - stream.avail_out;
    lzma_end(&stream);
    switch (status) {
        case LZMA_STREAM_END: return {End::Complete, made};
        case LZMA_BUF_ERROR: return {stalled(out.size() - made), made};
        case LZMA_MEM_ERROR: return {End::NoMemory, made};
        default: return {End::Damaged, made};
    }
}

}  // namespace bulkhead::vmm
