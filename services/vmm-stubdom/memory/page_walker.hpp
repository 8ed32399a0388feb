// SPDX-License-Identifier: Apache-2.0
// Walks the guest's own page tables in software: hypercall arguments and instruction bytes are guest-virtual.
//
// For the VMM's vCPU threads; costs at most four loads of guest memory. The tables are the guest's and change
// under the walk: an entry is read once, and whatever it says, the result is checked by GuestMemory again.
// Supports no paging, 32-bit, PAE and 4-level paging. Stateless and thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "services/vmm-stubdom/memory/guest_memory.hpp"

namespace bulkhead::vmm {

// As the state page gives them.
struct PagingState {
    std::uint64_t cr0 = 0;
    std::uint64_t cr3 = 0;
    std::uint64_t cr4 = 0;
    std::uint64_t efer = 0;
};

enum class Access : std::uint8_t { Read, Write, Execute };
enum class Privilege : std::uint8_t { Supervisor, User };

enum class WalkFault : std::uint8_t {
    NotPresent,     // an entry on the way has P clear
    Protection,     // the entries forbid this access at this privilege
    Reserved,       // an entry has a bit set that must be clear
    NotCanonical,   // a 64-bit address whose upper bits differ
    OutsideMemory,  // a table or the page itself is not RAM
    Unsupported,    // 5-level paging
};

struct Translation {
    GuestPhys address;
    std::uint64_t bytes_left_in_page = 0;
};

class PageWalker {
  public:
    PageWalker(const GuestMemory& memory, const PagingState& paging) : memory_(memory), paging_(paging) {}

    // Sets accessed and dirty bits as the processor would.
    [[nodiscard]] std::expected<Translation, WalkFault> translate(std::uint64_t linear, Access access,
                                                                  Privilege privilege) const;

    // How many bytes were copied: fewer than asked for at the first page that faults.
    [[nodiscard]] std::size_t copy_in(std::uint64_t linear, std::span<std::byte> to,
                                      Access access = Access::Read,
                                      Privilege privilege = Privilege::Supervisor) const;
    [[nodiscard]] std::size_t copy_out(std::uint64_t linear, std::span<const std::byte> from,
                                       Privilege privilege = Privilege::Supervisor) const;

  private:
    struct Geometry;
    struct Step;
    [[nodiscard]] std::expected<Translation, WalkFault> walk(std::uint64_t linear, const Geometry& geometry,
                                                             Access access, Privilege privilege) const;
    [[nodiscard]] std::expected<Step, WalkFault> load_entry(std::uint64_t table, std::uint64_t linear,
                                                            unsigned level, const Geometry& geometry) const;
    [[nodiscard]] std::uint64_t next_linear(std::uint64_t linear, std::size_t bytes) const;

    const GuestMemory& memory_;
    PagingState paging_;
};

// A hypercall argument, whole or not at all (the caller answers -EFAULT).
template <typename T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] bool copy_from_guest_virtual(const PageWalker& walker, std::uint64_t linear, T& to) {
    return walker.copy_in(linear, std::as_writable_bytes(std::span<T, 1>(&to, 1))) == sizeof(T);
}
template <typename T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] bool copy_to_guest_virtual(const PageWalker& walker, std::uint64_t linear, const T& from) {
    return walker.copy_out(linear, std::as_bytes(std::span<const T, 1>(&from, 1))) == sizeof(T);
}

}  // namespace bulkhead::vmm
