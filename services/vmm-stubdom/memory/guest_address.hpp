// SPDX-License-Identifier: Apache-2.0
// Guest-physical addresses and frame numbers: opaque, so that neither mixes with a host address or with each
// other.
#pragma once

#include <compare>
#include <cstdint>

namespace bulkhead::vmm {

inline constexpr std::uint64_t kGuestPageSize = 4096;
inline constexpr unsigned kGuestPageShift = 12;

class GuestPhys {
  public:
    constexpr GuestPhys() = default;
    constexpr explicit GuestPhys(std::uint64_t value) : value_(value) {}

    [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
    // Wraps like the address bus; GuestMemory refuses what wraps.
    [[nodiscard]] constexpr GuestPhys plus(std::uint64_t bytes) const { return GuestPhys(value_ + bytes); }
    constexpr auto operator<=>(const GuestPhys&) const = default;

  private:
    std::uint64_t value_ = 0;
};

class Gfn {
  public:
    constexpr Gfn() = default;
    constexpr explicit Gfn(std::uint64_t value) : value_(value) {}

    // A guest may name a frame beyond every address: that one becomes an address that no memory holds.
    [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
    [[nodiscard]] constexpr bool addressable() const { return value_ < (1ULL << (52 - kGuestPageShift)); }
    [[nodiscard]] constexpr GuestPhys address() const {
        return addressable() ? GuestPhys(value_ << kGuestPageShift) : GuestPhys(~0ULL);
    }
    [[nodiscard]] static constexpr Gfn containing(GuestPhys address) {
        return Gfn(address.value() >> kGuestPageShift);
    }
    constexpr auto operator<=>(const Gfn&) const = default;

  private:
    std::uint64_t value_ = 0;
};

}  // namespace bulkhead::vmm
