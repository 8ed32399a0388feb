// SPDX-License-Identifier: Apache-2.0
// The kernel's ELF file, checked and laid out in memory as kernel/arch/x86_64/entry_contract.hpp asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bulkhead::boot {

struct KernelLayout {
    const char* error;      // nullptr: fine; else a sentence
    uint64_t bytes;         // of the whole image in memory
    uint64_t entry_offset;  // from its base
};

bool is_linux_image(std::span<const uint8_t> file);
KernelLayout check_kernel(std::span<const uint8_t> file);
// `memory` is zeroed and `bytes` long; the file was checked.
void place_kernel(std::span<const uint8_t> file, uint8_t* memory);

}  // namespace bulkhead::boot
