// SPDX-License-Identifier: Apache-2.0
// Copy and clear by 64 bytes at a time. The C library's versions use `rep movsb` where the CPU advertises it
// fast, which under an instruction-counting emulator costs one instruction a byte: 46 million for a kernel.
#pragma once

#include <emmintrin.h>

#include <cstddef>
#include <cstring>

namespace bulkhead::vmm {

// Ranges may overlap when `to` is below `from`.
inline void wide_copy_down(std::byte* to, const std::byte* from, std::size_t size) {
    if (to == from) return;
    while (size >= 64) {
        const auto* source = reinterpret_cast<const __m128i*>(from);
        auto* target = reinterpret_cast<__m128i*>(to);
        const __m128i a = _mm_loadu_si128(source);
        const __m128i b = _mm_loadu_si128(source + 1);
        const __m128i c = _mm_loadu_si128(source + 2);
        const __m128i d = _mm_loadu_si128(source + 3);
        _mm_storeu_si128(target, a);
        _mm_storeu_si128(target + 1, b);
        _mm_storeu_si128(target + 2, c);
        _mm_storeu_si128(target + 3, d);
        from += 64;
        to += 64;
        size -= 64;
    }
    std::memmove(to, from, size);
}

inline void wide_clear(std::byte* to, std::size_t size) {
    const __m128i zero = _mm_setzero_si128();
    while (size >= 64) {
        auto* target = reinterpret_cast<__m128i*>(to);
        _mm_storeu_si128(target, zero);
        _mm_storeu_si128(target + 1, zero);
        _mm_storeu_si128(target + 2, zero);
        _mm_storeu_si128(target + 3, zero);
        to += 64;
        size -= 64;
    }
    std::memset(to, 0, size);
}

}  // namespace bulkhead::vmm
