// SPDX-License-Identifier: Apache-2.0
// What the guest runs, in real mode, at 0x1000.
#pragma once

#include <stdint.h>

namespace bulkhead::kernel_root {

inline constexpr uint8_t kGuestCode[] = {
    0xbb, 0x34, 0x12,                    // 00 mov $0x1234, %bx
    0x0f, 0xa2,                          // 03 cpuid
    0x0f, 0x01, 0xd9,                    // 05 vmmcall
    0xb0, 0x3f,                          // 08 mov $0x3f, %al
    0xe6, 0x80,                          // 0a out %al, $0x80
    0xe4, 0x60,                          // 0c in $0x60, %al
    0xb9, 0x00, 0xf0,                    // 0e mov $0xf000, %cx
    0x8e, 0xd9,                          // 11 mov %cx, %ds
    0xa0, 0x77, 0x00,                    // 13 mov 0x77, %al
    0xf4,                                // 16 hlt
    0xeb, 0xfe,                          // 17 spin: jmp spin
    0x0f, 0x01, 0xd9, 0xeb, 0xfb,        // 19 vmmcall; jmp back
    0x66, 0xb8, 0x78, 0x56, 0x34, 0x12,  // 1e mov $0x12345678, %eax
    0x0f, 0x23, 0xc0,                    // 24 mov %eax, %dr0
    0x66, 0x31, 0xc0,                    // 27 xor %eax, %eax
    0x0f, 0x21, 0xc0,                    // 2a mov %dr0, %eax
    0x0f, 0x01, 0xd9,                    // 2d vmmcall
    0x66, 0x31, 0xc0,                    // 30 xor %eax, %eax
    0x0f, 0x21, 0xc0,                    // 33 mov %dr0, %eax
    0x0f, 0x01, 0xd9,                    // 36 vmmcall
    0xf4,                                // 39 hlt
    0xfb, 0xeb, 0xfe,                    // 3a sti; spin: jmp spin
};
inline constexpr unsigned kSpinOffset = 0x17, kCallLoopOffset = 0x19, kDebugOffset = 0x1e, kOpenOffset = 0x3a;

}  // namespace bulkhead::kernel_root
