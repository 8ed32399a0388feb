// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/boot_archive.hpp"

namespace bulkhead::init {
namespace {

constexpr size_t kHeader =
    110;  // cpio(5), "New ASCII Format": 6 bytes of magic, then 13 fields of 8 hexadecimal digits
constexpr unsigned kMode = 1, kFileSize = 6, kNameSize = 11;
constexpr uint32_t kTypeMask = 0170000, kRegular = 0100000;

bool field(const uint8_t* header, unsigned index, uint32_t& value) {
    value = 0;
    for (unsigned i = 0; i < 8; ++i) {
        const uint8_t c = header[6 + index * 8 + i];
        const unsigned digit = c >= '0' && c <= '9'   ? c - '0'
                               : c >= 'a' && c <= 'f' ? c - 'a' + 10u
                               : c >= 'A' && c <= 'F' ? c - 'A' + 10u
                                                      : 16u;
        if (digit == 16) return false;
        value = value << 4 | digit;
    }
    return true;
}

constexpr size_t align4(size_t value) {
    return (value + 3) & ~size_t{3};
}

bool is(const uint8_t* at, size_t bytes, const char* name) {
    const size_t length = __builtin_strlen(name);
    return bytes == length + 1 && at[length] == '\0' && __builtin_memcmp(at, name, length) == 0;
}

}  // namespace

ArchiveFile find_file(const uint8_t* archive, size_t bytes, const char* name) {
    for (size_t at = 0; at <= bytes && bytes - at >= kHeader;) {
        const uint8_t* header = archive + at;
        uint32_t mode, size, name_size;
        if (__builtin_memcmp(header, "070701", 6) != 0 || !field(header, kMode, mode) ||
            !field(header, kFileSize, size) || !field(header, kNameSize, name_size))
            return {};
        const size_t data = align4(at + kHeader + name_size);
        if (data > bytes || size > bytes - data) return {};
        if (is(header + kHeader, name_size, "TRAILER!!!")) return {};
        if ((mode & kTypeMask) == kRegular && is(header + kHeader, name_size, name))
            return {archive + data, size};
        at = align4(data + size);
    }
    return {};
}

}  // namespace bulkhead::init
