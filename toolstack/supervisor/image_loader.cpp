// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/image_loader.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::supervisor {
namespace {

constexpr uint64_t kPage = abi::kPageSize;
constexpr uint64_t page_down(uint64_t value) {
    return value & ~(kPage - 1);
}
constexpr uint64_t page_up(uint64_t value) {
    return page_down(value + kPage - 1);
}

// New memory with the file's bytes at [lead, lead + bytes.size()) of the segment's pages.
struct Copied {
    uint64_t address, size, flags, lead;
    std::span<const uint8_t> bytes;

    void fill(uint64_t offset, std::span<std::byte> piece) const {
        const uint64_t from = std::max(offset, lead),
                       to = std::min(offset + piece.size(), lead + bytes.size());
        if (from < to) std::memcpy(piece.data() + (from - offset), bytes.data() + (from - lead), to - from);
    }
};

Outcome map_copied(AddressSpace& space, const Copied& part, const PageSlots* slots, abi::StartInfo* info) {
    uint64_t done = 0;
    if (slots && (part.flags & abi::map::kWrite) && info->image_frames.count == 0) {
        const auto count = static_cast<uint32_t>(std::min<uint64_t>(part.size / kPage, slots->count));
        const auto fill = [&](uint64_t offset, std::span<std::byte> piece) { part.fill(offset, piece); };
        if (auto mapped = space.map_pages(slots->first, part.address, count, part.flags,
                                          part.lead + part.bytes.size(), fill);
            !mapped)
            return mapped;
        info->image_frames = {slots->first.slot(), count};
        info->image_frames_base = part.address;
        done = count * kPage;
    }
    return space.map_new(
        part.address + done, part.size - done, part.flags,
        [&](uint64_t offset, std::span<std::byte> piece) { part.fill(done + offset, piece); });
}

}  // namespace

Outcome load_image(AddressSpace& space, const Image& image, const BootFrames& frames, uint64_t file_offset,
                   uint64_t base, const PageSlots* slots, abi::StartInfo* info) {
    for (const Segment& segment : image.segments) {
        const uint64_t address = base + page_down(segment.address),
                       size = page_up(segment.address + segment.memory_size) - page_down(segment.address);
        const bool aligned = (file_offset + segment.file_offset - segment.address) % kPage ==
                             0;  // else the file's place in the archive forces a copy
        const uint64_t flags = abi::map::kRead | (segment.write ? abi::map::kWrite : 0) |
                               (segment.execute ? abi::map::kExecute : 0);
        if (!segment.write && segment.file_size == segment.memory_size && aligned) {
            if (auto mapped = space.map_boot(frames, file_offset + page_down(segment.file_offset), size,
                                             address, flags);
                !mapped)
                return mapped;
            continue;
        }
        const Copied part{address, size, flags, segment.address - page_down(segment.address),
                          frames.bytes().subspan(file_offset + segment.file_offset, segment.file_size)};
        if (auto mapped = map_copied(space, part, slots, info); !mapped) return mapped;
    }
    return {};
}

}  // namespace bulkhead::supervisor
