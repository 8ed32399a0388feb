// SPDX-License-Identifier: Apache-2.0
// Bounds-checked little-endian reads of an untrusted image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace bulkhead::vmm {

using ImageBytes = std::span<const std::byte>;

template <typename T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] std::optional<T> read_at(ImageBytes image, std::uint64_t offset) {
    if (offset > image.size() || image.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, image.data() + offset, sizeof value);
    return value;
}

[[nodiscard]] inline std::optional<ImageBytes> slice(ImageBytes image, std::uint64_t offset,
                                                     std::uint64_t size) {
    if (offset > image.size() || image.size() - offset < size) return std::nullopt;
    return image.subspan(offset, size);
}

}  // namespace bulkhead::vmm
