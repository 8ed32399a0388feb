// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/bootfs.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::supervisor {
namespace {

constexpr size_t kHeader =
    110;  // cpio(5), "New ASCII Format": 6 bytes of magic, then 13 fields of 8 hexadecimal digits
constexpr size_t kMaxFiles = 4096;
constexpr uint64_t kMaxPath = 512;
constexpr uint64_t kTypeMask = 0170000, kRegular = 0100000;

std::optional<uint64_t> field(const uint8_t* header, unsigned index) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t c = header[6 + index * 8 + i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10u;
        else if (c >= 'A' && c <= 'F')
            digit = c - 'A' + 10u;
        else
            return std::nullopt;
        value = value << 4 | digit;
    }
    return value;
}

constexpr uint64_t align4(uint64_t value) {
    return (value + 3) & ~uint64_t{3};
}

}  // namespace

std::expected<Bootfs, std::string> Bootfs::open(std::span<const uint8_t> archive) {
    Bootfs fs;
    fs.archive_ = archive;
    auto fail = [](uint64_t at, std::string_view why) {
        return std::unexpected("bootfs: at byte " + std::to_string(at) + ": " + std::string{why});
    };
    for (uint64_t at = 0;;) {
        if (at + kHeader > archive.size()) return fail(at, "the archive ends before its trailer");
        const uint8_t* header = archive.data() + at;
        if (std::memcmp(header, "070701", 6) != 0) return fail(at, "no cpio 'newc' header");
        const auto mode = field(header, 1), size = field(header, 6), name_size = field(header, 11);
        if (!mode || !size || !name_size || *name_size < 1 || *name_size > kMaxPath)
            return fail(at, "damaged header");
        const uint64_t data = align4(at + kHeader + *name_size);
        if (data > archive.size() || *size > archive.size() - data)
            return fail(at, "a file reaches beyond the end of the archive");
        const char* text = reinterpret_cast<const char*>(header + kHeader);
        if (text[*name_size - 1] != '\0') return fail(at, "a name does not end");
        std::string_view name{text, std::strlen(text)};
        if (name == "TRAILER!!!") return fs;
        while (name.starts_with("./")) name.remove_prefix(2);
        while (name.starts_with("/")) name.remove_prefix(1);
        if ((*mode & kTypeMask) == kRegular) {
            if (fs.files_.size() == kMaxFiles) return fail(at, "more than 4096 files");
            fs.files_.push_back({name, data, *size});
        }
        at = align4(data + *size);
    }
}

std::optional<BootFile> Bootfs::find(std::string_view name) const {
    const auto it = std::ranges::find(files_, name, &BootFile::name);
    return it == files_.end() ? std::nullopt : std::optional{*it};
}

}  // namespace bulkhead::supervisor
