// SPDX-License-Identifier: Apache-2.0
// What the compiler may call. Eight bytes at a time where alignment allows: `rep movsb` costs an instruction
// per byte in an emulator, and short counts are slow on hardware.
#include <stddef.h>
#include <stdint.h>

// `used`: link-time optimisation does not see that it makes calls itself.
extern "C" {

[[gnu::used]] void* memcpy(void* __restrict to, const void* __restrict from, size_t bytes) {
    void* d = to;
    size_t words = bytes / 8, rest = bytes % 8;
    asm volatile("rep movsq\n\tmov %3, %2\n\trep movsb"
                 : "+&D"(d), "+&S"(from), "+&c"(words)
                 : "r"(rest)
                 : "memory");
    return to;
}

[[gnu::used]] void* memmove(void* to, const void* from, size_t bytes) {
    auto* d = static_cast<unsigned char*>(to);
    const auto* s = static_cast<const unsigned char*>(from);
    if (d <= s || d >= s + bytes) return memcpy(to, from, bytes);
    d += bytes - 1;
    s += bytes - 1;
    asm volatile("std\n\trep movsb\n\tcld" : "+D"(d), "+S"(s), "+c"(bytes) : : "memory");
    return to;
}

[[gnu::used]] void* memset(void* to, int value, size_t bytes) {
    void* d = to;
    const uint64_t pattern = 0x0101010101010101u * static_cast<unsigned char>(value);
    size_t words = bytes / 8, rest = bytes % 8;
    asm volatile("rep stosq\n\tmov %2, %1\n\trep stosb"
                 : "+&D"(d), "+&c"(words)
                 : "r"(rest), "a"(pattern)
                 : "memory");
    return to;
}

[[gnu::used]] int memcmp(const void* a, const void* b, size_t bytes) {
    const auto* x = static_cast<const unsigned char*>(a);
    const auto* y = static_cast<const unsigned char*>(b);
    for (size_t i = 0; i < bytes; ++i)
        if (x[i] != y[i]) return x[i] - y[i];
    return 0;
}

[[gnu::used]] int strcmp(const char* a, const char* b) {
    while (*a != '\0' && *a == *b) ++a, ++b;
    return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}

[[gnu::used]] size_t strlen(const char* text) {
    size_t n = 0;
    while (text[n] != '\0') ++n;
    return n;
}
}
