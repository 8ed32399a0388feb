// SPDX-License-Identifier: Apache-2.0
// A static-PIE ELF64 file, checked: what a stub domain's image looks like to the domain builder. Nothing is
// relocated here; the program's own start-up code does that.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace bulkhead::supervisor {

struct Segment {
    uint64_t address;      // relative to the image base
    uint64_t file_offset;  // in the image
    uint64_t file_size, memory_size;
    bool write, execute;  // never both
};

struct Image {
    uint64_t entry;            // relative to the image base
    uint64_t program_headers;  // address of the program headers, relative
    uint16_t program_header_count;
    uint64_t span;                  // bytes from the base to the end of the last segment, page-aligned
    std::vector<Segment> segments;  // ascending, no two on one page
};

inline constexpr uint64_t kMaxImageSpan = 64 << 20;

std::expected<Image, std::string> parse_image(std::span<const uint8_t> file);

}  // namespace bulkhead::supervisor
