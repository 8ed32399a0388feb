// SPDX-License-Identifier: Apache-2.0
// Files that were added to bulkhead.efi as sections (`objcopy --add-section .config=bulkhead.cfg …`), as the
// firmware laid them out in memory: the unified image of Xen, for signing everything at once.
//
//     .config  .kernel  .ramdisk  .ucode  .dtb    as in Xen; .ramdisk is the module `bootfs`, .dtb `manifest`
//     .NAME                                       any other section is the boot module NAME
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bulkhead::boot {

struct Embedded {
    std::string_view name;  // of a module, without the dot; points into the image or is a constant
    std::span<const uint8_t> data;
};

inline constexpr size_t kMaxEmbedded = 16;

struct EmbeddedFiles {
    std::span<const uint8_t> config, kernel;
    Embedded module[kMaxEmbedded];
    size_t modules = 0;
    const char* error = nullptr;  // a sentence

    const Embedded* find(std::string_view name) const;
};

EmbeddedFiles find_embedded(std::span<const uint8_t> image);

}  // namespace bulkhead::boot
