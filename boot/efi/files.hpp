// SPDX-License-Identifier: Apache-2.0
// Files on the volume that the loader came from, read whole into pages that the kernel inherits.
#pragma once

#include "boot/efi/efi.hpp"

namespace bulkhead::boot {

struct Loaded {
    uint64_t base = 0, size = 0;  // physical; the rest of the last page is zero
    std::string_view text() const { return {reinterpret_cast<const char*>(base), size}; }
};

class Volume {
  public:
    explicit Volume(EFI_HANDLE image);  // fails with a sentence when the volume cannot be opened

    // `name` is relative to the loader's own directory unless it begins with a slash; `/` and `\` mean the
    // same. `asked_by` is where the name was written. alignment: of the base, a power of two of at least
    // 4096.
    Loaded read(std::string_view name, Where asked_by, uint64_t alignment);
    bool exists(std::string_view name);

  private:
    EFI_FILE_PROTOCOL* open(std::string_view name, EFI_STATUS* status);

    EFI_FILE_PROTOCOL* root_ = nullptr;
    CHAR16 directory_[256] = {};
};

// Pages that stay after ExitBootServices: aligned, or a failure that says for what they were.
uint64_t allocate_pages(uint64_t pages, uint64_t alignment, uint64_t below, EFI_MEMORY_TYPE type,
                        std::string_view what);

}  // namespace bulkhead::boot
