// SPDX-License-Identifier: Apache-2.0
// Files on the volume that the loader came from, read whole into pages that the kernel inherits.
#pragma once

#include "boot/efi/efi.hpp"

namespace bulkhead::boot {

struct Loaded {
    uint64_t base = 0, size = 0;  // physical; the rest of the last page is zero
    std::string_view text() const { return {reinterpret_cast<const char*>(base), size}; }
};

inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 32;

class Volume {
  public:
    // Nothing is opened before the first file: an image that holds all of its files needs no volume.
    explicit Volume(EFI_LOADED_IMAGE_PROTOCOL& self);

    // `name` is relative to the loader's own directory unless it begins with a slash; `/` and `\` mean the
    // same. `asked_by` is where the name was written. alignment: of the base, a power of two of at least
    // 4096.
    Loaded read(std::string_view name, Where asked_by, uint64_t alignment, uint64_t limit = kMaxFileBytes);
    bool exists(std::string_view name);

    // The loader's own file name; empty when the firmware does not tell, or it is not ASCII.
    std::string_view own_name() const { return {own_name_, own_length_}; }
    const CHAR16* directory() const { return directory_; }

    // No file is read any more, for this reason.
    void lock(const char* why) { locked_ = why; }

  private:
    EFI_FILE_PROTOCOL* open(std::string_view name, EFI_STATUS* status);

    EFI_HANDLE device_;
    EFI_FILE_PROTOCOL* root_ = nullptr;
    const char* locked_ = nullptr;
    static constexpr size_t kMaxPath = 256;
    CHAR16 directory_[kMaxPath] = {};
    char own_name_[kMaxPath] = {};
    size_t own_length_ = 0;
};

// Pages that stay after ExitBootServices: aligned, or a failure that says for what they were.
uint64_t allocate_pages(uint64_t pages, uint64_t alignment, uint64_t below, EFI_MEMORY_TYPE type,
                        std::string_view what);
// A copy in pages of its own, the rest of the last one zero.
Loaded copy_to_pages(const void* data, uint64_t size, uint64_t alignment, std::string_view what);
void free_all_pages();

}  // namespace bulkhead::boot
