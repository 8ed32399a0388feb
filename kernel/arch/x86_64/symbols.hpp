// SPDX-License-Identifier: Apache-2.0
// The kernel's own symbol table, put into the section .ksyms after linking (kernel/gensyms.py):
//   u32 count, u32 (address - image base) x count ascending, u32 name offset x count, names NUL-terminated
#pragma once

#include <stdint.h>

namespace bulkhead::arch {
struct Symbol {
    const char* name;
    uint64_t offset;
};
Symbol find_symbol(uint64_t address);  // name nullptr: not in the kernel's text
}  // namespace bulkhead::arch
