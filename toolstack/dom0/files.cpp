// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/files.hpp"

#include <algorithm>

namespace bulkhead::dom0 {
namespace {

constexpr std::string_view kRoot = "dom0";

}  // namespace

Files::Files(std::span<const std::uint8_t> archive) : archive_{archive} {
    auto bootfs = supervisor::Bootfs::open(archive);
    if (!bootfs) {
        error_ = bootfs.error();
        return;
    }
    for (const auto& file : bootfs->files())
        if (file.name.starts_with(kRoot) && file.name.substr(kRoot.size()).starts_with('/'))
            files_.push_back({file.name.substr(kRoot.size()), file.offset, file.size});
}

xl::Result<supervisor::BootFile> Files::find(std::string_view path) const {
    const auto it = std::ranges::find(files_, path, &supervisor::BootFile::name);
    if (it != files_.end()) return *it;
    return xl::fail(xl::ErrorKind::NotFound, "there is no such file.");
}

xl::Result<std::span<const std::byte>> Files::contents(std::string_view path) const {
    const auto file = find(path);
    if (!file) return std::unexpected(file.error());
    return std::as_bytes(archive_.subspan(file->offset, file->size));
}

xl::Result<std::vector<std::string>> Files::list(std::string_view path) const {
    std::string folder{path};
    if (!folder.ends_with('/')) folder += '/';
    std::vector<std::string> names;
    for (const auto& file : files_) {
        if (!file.name.starts_with(folder)) continue;
        const auto rest = file.name.substr(folder.size());
        const auto slash = rest.find('/');
        names.emplace_back(slash == std::string_view::npos ? rest : rest.substr(0, slash + 1));
    }
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.empty() && folder != "/")
        return xl::fail(xl::ErrorKind::NotFound, "there is no such directory.");
    return names;
}

}  // namespace bulkhead::dom0
