// SPDX-License-Identifier: Apache-2.0
// dom0's file tree: the files below "dom0/" of the boot file system, mapped read-only. A file's place in the
// archive is how the supervisor is told which kernel a VMM shall see.
#pragma once

#include "toolstack/supervisor/bootfs.hpp"
#include "toolstack/xl/error.hpp"

namespace bulkhead::dom0 {

class Files {
  public:
    // An archive that is damaged or missing is an empty tree; error() says what was wrong.
    explicit Files(std::span<const std::uint8_t> archive);

    const std::string& error() const { return error_; }
    xl::Result<supervisor::BootFile> find(std::string_view path) const;  // absolute
    xl::Result<std::span<const std::byte>> contents(std::string_view path) const;
    xl::Result<std::vector<std::string>> list(std::string_view path) const;

  private:
    std::span<const std::uint8_t> archive_;
    std::vector<supervisor::BootFile> files_;
    std::string error_;
};

}  // namespace bulkhead::dom0
