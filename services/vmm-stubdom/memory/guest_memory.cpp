// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/memory/guest_memory.hpp"

#include <algorithm>

namespace bulkhead::vmm {

std::optional<GuestMemory> GuestMemory::create(std::span<const Segment> segments) {
    if (segments.empty() || segments.size() > kMaxSegments) return std::nullopt;
    GuestMemory memory;
    std::uint64_t free_from = 0;
    for (const Segment& segment : segments) {
        const std::uint64_t base = segment.base.value();
        const bool page_aligned = (base | segment.size) % kGuestPageSize == 0;
        if (!segment.host || segment.size == 0 || !page_aligned || !aligned<8>(segment.host))
            return std::nullopt;
        if (base < free_from || segment.size > (1ULL << 52) || base > (1ULL << 52) - segment.size) {
            return std::nullopt;
        }
        free_from = base + segment.size;
        memory.segments_[memory.count_++] = segment;
    }
    return memory;
}

std::byte* GuestMemory::locate_slow(GuestPhys address, std::uint64_t size) const {
    for (const Segment& segment : segments()) {
        const std::uint64_t offset = address.value() - segment.base.value();
        if (size <= segment.size && offset <= segment.size - size) return segment.host + offset;
    }
    return nullptr;
}

std::uint64_t GuestMemory::contiguous(GuestPhys address) const {
    for (const Segment& segment : segments()) {
        const std::uint64_t offset = address.value() - segment.base.value();
        if (offset < segment.size) return segment.size - offset;
    }
    return 0;
}

bool GuestMemory::covered(GuestPhys address, std::uint64_t size) const {
    while (size != 0) {
        const std::uint64_t here = contiguous(address);
        if (here == 0) return false;
        if (here >= size) return true;
        address = address.plus(here);
        size -= here;
    }
    return true;
}

bool GuestMemory::copy_in_slow(GuestPhys from, std::span<std::byte> to) const {
    if (!covered(from, to.size())) return false;
    while (!to.empty()) {
        const std::size_t here = std::min<std::uint64_t>(contiguous(from), to.size());
        if (!copy_in(from, to.first(here))) return false;
        from = from.plus(here);
        to = to.subspan(here);
    }
    return true;
}

bool GuestMemory::copy_out_slow(GuestPhys to, std::span<const std::byte> from) const {
    if (!covered(to, from.size())) return false;
    while (!from.empty()) {
        const std::size_t here = std::min<std::uint64_t>(contiguous(to), from.size());
        if (!copy_out(to, from.first(here))) return false;
        to = to.plus(here);
        from = from.subspan(here);
    }
    return true;
}

}  // namespace bulkhead::vmm
