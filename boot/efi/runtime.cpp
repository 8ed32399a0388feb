// SPDX-License-Identifier: Apache-2.0
// What the compiler calls without being asked: the loader has no C library. (gnu-efi has its own memcpy and
// memset in some versions, not in Debian 12's for C++.)
#include <stddef.h>
#include <stdint.h>

extern "C" {

int memcmp(const void* a, const void* b, size_t bytes) {
    const auto* left = static_cast<const uint8_t*>(a);
    const auto* right = static_cast<const uint8_t*>(b);
    for (size_t i = 0; i < bytes; i++)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

}  // extern "C"
