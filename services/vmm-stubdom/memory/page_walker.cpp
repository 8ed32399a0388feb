// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/memory/page_walker.hpp"

#include <algorithm>

namespace bulkhead::vmm {
namespace {

constexpr std::uint64_t kCr0Wp = 1ULL << 16;
constexpr std::uint64_t kCr0Pg = 1ULL << 31;
constexpr std::uint64_t kCr4Pse = 1ULL << 4;
constexpr std::uint64_t kCr4Pae = 1ULL << 5;
constexpr std::uint64_t kCr4La57 = 1ULL << 12;
constexpr std::uint64_t kEferLma = 1ULL << 10;
constexpr std::uint64_t kEferNxe = 1ULL << 11;

constexpr std::uint64_t kPresent = 1ULL << 0;
constexpr std::uint64_t kWritable = 1ULL << 1;
constexpr std::uint64_t kUser = 1ULL << 2;
constexpr std::uint64_t kAccessed = 1ULL << 5;
constexpr std::uint64_t kDirty = 1ULL << 6;
constexpr std::uint64_t kLarge = 1ULL << 7;
constexpr std::uint64_t kNoExecute = 1ULL << 63;
constexpr std::uint64_t kFrameMask = 0x000f'ffff'ffff'f000;

// Permissions are the conjunction over all levels: start with everything allowed.
constexpr std::uint64_t kAllRights = kWritable | kUser;

}  // namespace

// The three formats differ only in these numbers.
struct PageWalker::Geometry {
    unsigned levels;
    unsigned index_bits;
    unsigned entry_bytes;
    unsigned largest_page_level;  // highest level at which bit 7 maps a page; 0: none
    std::uint64_t root_mask;
    bool rights_free_root;  // the four PAE PDPTEs carry no rights and no accessed bit

    [[nodiscard]] unsigned shift(unsigned level) const { return kGuestPageShift + (level - 1) * index_bits; }
};

struct PageWalker::Step {
    GuestPhys at;
    std::uint64_t entry;
};

std::expected<PageWalker::Step, WalkFault> PageWalker::load_entry(std::uint64_t table, std::uint64_t linear,
                                                                  unsigned level,
                                                                  const Geometry& geometry) const {
    const std::uint64_t index_mask = (1ULL << geometry.index_bits) - 1;
    const std::uint64_t index = (linear >> geometry.shift(level)) & index_mask;
    const GuestPhys at(table + index * geometry.entry_bytes);
    std::optional<std::uint64_t> entry;
    if (geometry.entry_bytes == 8) {
        entry = memory_.read<std::uint64_t>(at);
    } else if (const auto narrow = memory_.read<std::uint32_t>(at)) {
        entry = *narrow;
    }
    if (!entry) return std::unexpected(WalkFault::OutsideMemory);
    if (!(*entry & kPresent)) return std::unexpected(WalkFault::NotPresent);
    if ((*entry & kNoExecute) && !(paging_.efer & kEferNxe)) return std::unexpected(WalkFault::Reserved);
    return Step{at, *entry};
}

namespace {

// Address of the page that a leaf entry maps, or nothing when low address bits that must be zero are set.
std::optional<std::uint64_t> leaf_frame(std::uint64_t entry, unsigned level, unsigned shift,
                                        unsigned entry_bytes) {
    if (level == 1) return entry & kFrameMask;
    if (entry_bytes == 4) {  // 4 MiB page: bits 13-20 are address bits 32-39 (PSE-36), bit 21 is reserved
        if (entry & (1ULL << 21)) return std::nullopt;
        return (entry & 0xffc0'0000) | ((entry >> 13 & 0xff) << 32);
    }
    const std::uint64_t below = ((1ULL << shift) - 1) & kFrameMask & ~(1ULL << 12);  // bit 12 is PAT
    if (entry & below) return std::nullopt;
    return entry & kFrameMask & ~((1ULL << shift) - 1);
}

}  // namespace

std::expected<Translation, WalkFault> PageWalker::walk(std::uint64_t linear, const Geometry& geometry,
                                                       Access access, Privilege privilege) const {
    std::uint64_t table = paging_.cr3 & geometry.root_mask;
    std::uint64_t rights = kAllRights;
    bool no_execute = false;
    for (unsigned level = geometry.levels;; --level) {
        const auto step = load_entry(table, linear, level, geometry);
        if (!step) return std::unexpected(step.error());
        const std::uint64_t entry = step->entry;
        const bool carries_rights = !(geometry.rights_free_root && level == geometry.levels);
        if (carries_rights) {
            rights &= entry;
            no_execute |= (entry & kNoExecute) != 0;
        }
        const bool large = level > 1 && (entry & kLarge) != 0 && carries_rights;
        const bool honours_large = geometry.entry_bytes == 8 || (paging_.cr4 & kCr4Pse) != 0;
        const bool leaf = level == 1 || (large && honours_large);
        if (leaf && level > std::max(geometry.largest_page_level, 1U))
            return std::unexpected(WalkFault::Reserved);

        if (leaf) {
            if (privilege == Privilege::User && !(rights & kUser))
                return std::unexpected(WalkFault::Protection);
            const bool checks_write = privilege == Privilege::User || (paging_.cr0 & kCr0Wp) != 0;
            if (access == Access::Write && checks_write && !(rights & kWritable)) {
                return std::unexpected(WalkFault::Protection);
            }
            if (access == Access::Execute && no_execute) return std::unexpected(WalkFault::Protection);
        }
        const std::uint64_t marks = !carries_rights                   ? 0
                                    : leaf && access == Access::Write ? kAccessed | kDirty
                                                                      : kAccessed;
        if ((entry & marks) != marks) {
            // A byte-wide OR touches no bit that the guest may be changing. If the entry changed meanwhile, a
            // mark too many is harmless: the processor's own speculative walks set such marks as well.
            if (!memory_.fetch_or<std::uint8_t>(step->at, static_cast<std::uint8_t>(marks))) {
                return std::unexpected(WalkFault::OutsideMemory);
            }
        }
        if (!leaf) {
            table = entry & kFrameMask;
            continue;
        }
        const unsigned shift = geometry.shift(level);
        const auto frame = leaf_frame(entry, level, shift, geometry.entry_bytes);
        if (!frame) return std::unexpected(WalkFault::Reserved);
        const std::uint64_t offset = linear & ((1ULL << shift) - 1);
        return Translation{GuestPhys(*frame + offset), (1ULL << shift) - offset};
    }
}

std::expected<Translation, WalkFault> PageWalker::translate(std::uint64_t linear, Access access,
                                                            Privilege privilege) const {
    static constexpr Geometry kLegacy{2, 10, 4, 2, 0xffff'f000, false};
    static constexpr Geometry kPae{3, 9, 8, 2, 0xffff'ffe0, true};
    static constexpr Geometry kLong{4, 9, 8, 3, kFrameMask, false};

    if (!(paging_.efer & kEferLma)) linear &= 0xffff'ffff;
    if (!(paging_.cr0 & kCr0Pg)) {
        return Translation{GuestPhys(linear), kGuestPageSize - linear % kGuestPageSize};
    }
    if (paging_.efer & kEferLma) {
        if (paging_.cr4 & kCr4La57) return std::unexpected(WalkFault::Unsupported);
        const auto top = static_cast<std::int64_t>(linear) >> 47;
        if (top != 0 && top != -1) return std::unexpected(WalkFault::NotCanonical);
        return walk(linear, kLong, access, privilege);
    }
    return walk(linear, paging_.cr4 & kCr4Pae ? kPae : kLegacy, access, privilege);
}

std::uint64_t PageWalker::next_linear(std::uint64_t linear, std::size_t bytes) const {
    linear += bytes;
    return paging_.efer & kEferLma ? linear : linear & 0xffff'ffff;
}

std::size_t PageWalker::copy_in(std::uint64_t linear, std::span<std::byte> to, Access access,
                                Privilege privilege) const {
    std::size_t done = 0;
    while (done < to.size()) {
        const auto page = translate(linear, access, privilege);
        if (!page) break;
        const std::size_t here = std::min<std::uint64_t>(page->bytes_left_in_page, to.size() - done);
        if (!memory_.copy_in(page->address, to.subspan(done, here))) break;
        done += here;
        linear = next_linear(linear, here);
    }
    return done;
}

std::size_t PageWalker::copy_out(std::uint64_t linear, std::span<const std::byte> from,
                                 Privilege privilege) const {
    std::size_t done = 0;
    while (done < from.size()) {
        const auto page = translate(linear, Access::Write, privilege);
        if (!page) break;
        const std::size_t here = std::min<std::uint64_t>(page->bytes_left_in_page, from.size() - done);
        if (!memory_.copy_out(page->address, from.subspan(done, here))) break;
        done += here;
        linear = next_linear(linear, here);
    }
    return done;
}

}  // namespace bulkhead::vmm
