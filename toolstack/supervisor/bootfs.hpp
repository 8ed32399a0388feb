// SPDX-License-Identifier: Apache-2.0
// The boot file system: a cpio archive ("newc") in a boot module, read-only. Files are found by name; nothing
// is copied.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::supervisor {

struct BootFile {
    std::string_view name;  // without a leading "./" or "/"
    uint64_t offset, size;  // in the archive, bytes
};

class Bootfs {
  public:
    // Walks the archive once; every header is checked. The archive must outlive the result.
    static std::expected<Bootfs, std::string> open(std::span<const uint8_t> archive);

    std::optional<BootFile> find(std::string_view name) const;
    std::span<const BootFile> files() const { return files_; }
    std::span<const uint8_t> contents(const BootFile& file) const {
        return archive_.subspan(file.offset, file.size);
    }
    uint64_t size() const { return archive_.size(); }

  private:
    std::span<const uint8_t> archive_;
    std::vector<BootFile> files_;
};

}  // namespace bulkhead::supervisor
