// SPDX-License-Identifier: Apache-2.0
// Where things are in a guest's physical address space, decided once, for loader, ACPI and devices alike.
//
//   0         RAM          (AP trampoline)
//   a0000     hole
//   e0000     reserved     start_info, module list, memory map, command lines; from f0000 ACPI tables
//   100000    RAM          kernel ... free ... modules at the top
//   low_top() hole         at most kLowRamLimit
//   feff8000  reserved     special pages: console feffc000, store feffd000
//   ff000000  hole
//   4 GiB     RAM          what did not fit below
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "services/vmm-stubdom/memory/guest_address.hpp"

namespace bulkhead::vmm {

inline constexpr std::uint64_t kLowRamLimit = 0xc000'0000;
inline constexpr std::uint64_t kHighRamBase = 0x1'0000'0000;
inline constexpr std::uint64_t kVgaHole = 0xa'0000;
inline constexpr std::uint64_t kBootInfoBase = 0xe'0000;
inline constexpr std::uint64_t kBootInfoSize = 0x1'0000;
inline constexpr std::uint64_t kAcpiBase = 0xf'0000;
inline constexpr std::uint64_t kAcpiSize = 0x1'0000;
inline constexpr std::uint64_t kKernelRamBase = 0x10'0000;
inline constexpr std::uint64_t kSpecialPagesBase = 0xfeff'8000;
inline constexpr std::uint64_t kSpecialPagesSize = 0x8000;
inline constexpr Gfn kConsoleFrame{0xfeffc};
inline constexpr Gfn kStoreFrame{0xfeffd};
inline constexpr unsigned kMaxVcpus = 16;

// An entry of hvm_start_info's memory map and of XENMEM_memory_map alike (the latter has no `reserved`).
struct MemoryMapEntry {
    static constexpr std::uint32_t kRam = 1;
    static constexpr std::uint32_t kReserved = 2;

    std::uint64_t base = 0;
    std::uint64_t size = 0;
    std::uint32_t type = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(MemoryMapEntry) == 24);

class GuestLayout {
  public:
    // `ram_bytes` counts the whole low range, the first MiB with its holes included.
    explicit constexpr GuestLayout(std::uint64_t ram_bytes)
        : low_top_((ram_bytes < kLowRamLimit ? ram_bytes : kLowRamLimit) & ~(kGuestPageSize - 1)),
          high_top_(ram_bytes > kLowRamLimit
                        ? kHighRamBase + ((ram_bytes - kLowRamLimit) & ~(kGuestPageSize - 1))
                        : kHighRamBase) {
        add(0, kVgaHole, MemoryMapEntry::kRam);
        add(kBootInfoBase, kKernelRamBase, MemoryMapEntry::kReserved);
        add(kKernelRamBase, low_top_, MemoryMapEntry::kRam);
        add(kSpecialPagesBase, kSpecialPagesBase + kSpecialPagesSize, MemoryMapEntry::kReserved);
        add(kHighRamBase, high_top_, MemoryMapEntry::kRam);
    }

    [[nodiscard]] constexpr std::uint64_t low_top() const { return low_top_; }
    [[nodiscard]] constexpr std::uint64_t high_top() const { return high_top_; }
    [[nodiscard]] constexpr std::span<const MemoryMapEntry> map() const { return {entries_.data(), count_}; }

  private:
    constexpr void add(std::uint64_t from, std::uint64_t to, std::uint32_t type) {
        if (from < to) entries_[count_++] = {from, to - from, type, 0};
    }

    std::uint64_t low_top_;
    std::uint64_t high_top_;
    std::array<MemoryMapEntry, 5> entries_{};
    std::size_t count_ = 0;
};

}  // namespace bulkhead::vmm
