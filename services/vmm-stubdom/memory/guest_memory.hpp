// SPDX-License-Identifier: Apache-2.0
// A guest's RAM as its VMM sees it: a few mapped segments, every access checked against them.
//
// The guest's vCPUs write the same memory at any time. So the only ways to a value are one single load
// (`read`), one atomic operation, or a copy into private memory (`copy_in`), which is then validated; `span`
// is for the time before the guest first runs. Thread-safe: the segments never change after creation. An
// access costs one compare in a guest with one segment of RAM, and can reach no byte outside the segments
// whatever address the guest chose.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "services/vmm-stubdom/memory/guest_address.hpp"

namespace bulkhead::vmm {

template <typename T>
concept GuestScalar = std::is_trivially_copyable_v<T> && sizeof(T) <= 8 && std::has_single_bit(sizeof(T));

template <typename T>
concept GuestWord = std::unsigned_integral<T> && GuestScalar<T> && !std::same_as<T, bool>;

class GuestMemory {
  public:
    struct Segment {
        GuestPhys base;
        std::uint64_t size = 0;  // bytes, whole pages
        std::byte* host = nullptr;
    };
    static constexpr std::size_t kMaxSegments = 8;

    // Segments must be ascending, page-aligned, not empty and not overlapping; anything else gives none.
    // Does not own the mappings: they must outlive this view and its copies.
    [[nodiscard]] static std::optional<GuestMemory> create(std::span<const Segment> segments);

    [[nodiscard]] std::span<const Segment> segments() const { return {segments_.data(), count_}; }

    [[nodiscard]] bool contains(GuestPhys address, std::uint64_t size) const { return locate(address, size); }

    // One load, never split in two by the compiler; not atomic when unaligned.
    template <GuestScalar T>
    [[nodiscard]] std::optional<T> read(GuestPhys address) const {
        const std::byte* at = locate_scalar<sizeof(T)>(address);
        if (!at) return std::nullopt;
        using Raw = RawOf<sizeof(T)>;
        if (aligned<sizeof(T)>(at)) {
            return std::bit_cast<T>(__atomic_load_n(static_cast<const Raw*>(as_void(at)), __ATOMIC_ACQUIRE));
        }
        Raw raw;
        std::memcpy(&raw, at, sizeof raw);
        barrier();
        return std::bit_cast<T>(raw);
    }

    template <GuestScalar T>
    [[nodiscard]] bool write(GuestPhys address, T value) const {
        std::byte* at = locate_scalar<sizeof(T)>(address);
        if (!at) return false;
        using Raw = RawOf<sizeof(T)>;
        const Raw raw = std::bit_cast<Raw>(value);
        if (aligned<sizeof(T)>(at)) {
            __atomic_store_n(static_cast<Raw*>(as_void(at)), raw, __ATOMIC_RELEASE);
        } else {
            std::memcpy(at, &raw, sizeof raw);
            barrier();
        }
        return true;
    }

    // Sequentially consistent read-modify-write on an aligned word; none when unaligned or outside.
    template <GuestWord T>
    [[nodiscard]] std::optional<T> fetch_or(GuestPhys address, T bits) const {
        T* at = locate_word<T>(address);
        if (!at) return std::nullopt;
        return __atomic_fetch_or(at, bits, __ATOMIC_SEQ_CST);
    }
    template <GuestWord T>
    [[nodiscard]] std::optional<T> fetch_and(GuestPhys address, T bits) const {
        T* at = locate_word<T>(address);
        if (!at) return std::nullopt;
        return __atomic_fetch_and(at, bits, __ATOMIC_SEQ_CST);
    }
    template <GuestWord T>
    [[nodiscard]] std::optional<T> exchange(GuestPhys address, T value) const {
        T* at = locate_word<T>(address);
        if (!at) return std::nullopt;
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);
    }
    // Gives what the word held: the exchange happened when that is `expected`.
    template <GuestWord T>
    [[nodiscard]] std::optional<T> compare_exchange(GuestPhys address, T expected, T desired) const {
        T* at = locate_word<T>(address);
        if (!at) return std::nullopt;
        __atomic_compare_exchange_n(at, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return expected;
    }

    // Bit `bit` of the bitmap of 64-bit words at `bitmap` (event channels); gives its former value.
    [[nodiscard]] std::optional<bool> test_and_set_bit(GuestPhys bitmap, std::uint32_t bit) const {
        const auto old = fetch_or<std::uint64_t>(word_of(bitmap, bit), mask_of(bit));
        if (!old) return std::nullopt;
        return (*old & mask_of(bit)) != 0;
    }
    [[nodiscard]] std::optional<bool> test_and_clear_bit(GuestPhys bitmap, std::uint32_t bit) const {
        const auto old = fetch_and<std::uint64_t>(word_of(bitmap, bit), ~mask_of(bit));
        if (!old) return std::nullopt;
        return (*old & mask_of(bit)) != 0;
    }
    [[nodiscard]] std::optional<bool> test_bit(GuestPhys bitmap, std::uint32_t bit) const {
        const auto word = read<std::uint64_t>(word_of(bitmap, bit));
        if (!word) return std::nullopt;
        return (*word & mask_of(bit)) != 0;
    }

    // All or nothing: false, and nothing copied, when any byte lies outside the segments.
    [[nodiscard]] bool copy_in(GuestPhys from, std::span<std::byte> to) const {
        if (const std::byte* at = locate(from, to.size())) {
            std::memcpy(to.data(), at, to.size());
            barrier();
            return true;
        }
        return copy_in_slow(from, to);
    }
    [[nodiscard]] bool copy_out(GuestPhys to, std::span<const std::byte> from) const {
        if (std::byte* at = locate(to, from.size())) {
            std::memcpy(at, from.data(), from.size());
            barrier();
            return true;
        }
        return copy_out_slow(to, from);
    }
    template <typename T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] bool copy_in(GuestPhys from, T& to) const {
        return copy_in(from, std::as_writable_bytes(std::span<T, 1>(&to, 1)));
    }
    template <typename T>
    requires(std::is_trivially_copyable_v<T> && !std::is_convertible_v<const T&, std::span<const std::byte>>)
        [[nodiscard]] bool copy_out(GuestPhys to, const T& from) const {
        return copy_out(to, std::as_bytes(std::span<const T, 1>(&from, 1)));
    }

    // A contiguous range as plain memory: only while no vCPU of the guest can run (loading, save and
    // restore).
    [[nodiscard]] std::optional<std::span<std::byte>> span(GuestPhys address, std::uint64_t size) const {
        std::byte* at = locate(address, size);
        if (!at) return std::nullopt;
        return std::span<std::byte>(at, size);
    }

  private:
    template <std::size_t N>
    using RawOf = std::conditional_t<
        N == 1, std::uint8_t,
        std::conditional_t<N == 2, std::uint16_t, std::conditional_t<N == 4, std::uint32_t, std::uint64_t>>>;

    GuestMemory() = default;

    static void* as_void(std::byte* at) { return at; }
    static const void* as_void(const std::byte* at) { return at; }
    // Keeps the compiler from reading guest memory again in place of the private copy.
    static void barrier() { asm volatile("" ::: "memory"); }
    template <std::size_t N>
    static bool aligned(const std::byte* at) {
        return (std::bit_cast<std::uintptr_t>(at) & (N - 1)) == 0;
    }
    static GuestPhys word_of(GuestPhys bitmap, std::uint32_t bit) {
        return bitmap.plus(std::uint64_t{bit} / 64 * 8);
    }
    static std::uint64_t mask_of(std::uint32_t bit) { return 1ULL << (bit % 64); }

    // A segment is never smaller than a page and N never larger than 8, so `size - N` cannot wrap; an address
    // below the base wraps to a huge offset. One compare decides both ends.
    template <std::size_t N>
    [[nodiscard]] std::byte* locate_scalar(GuestPhys address) const {
        const std::uint64_t offset = address.value() - segments_[0].base.value();
        if (offset <= segments_[0].size - N) [[likely]]
            return segments_[0].host + offset;
        return locate_slow(address, N);
    }
    template <GuestWord T>
    [[nodiscard]] T* locate_word(GuestPhys address) const {
        std::byte* at = locate_scalar<sizeof(T)>(address);
        if (!at || !aligned<sizeof(T)>(at)) return nullptr;
        return static_cast<T*>(as_void(at));
    }
    [[nodiscard]] std::byte* locate(GuestPhys address, std::uint64_t size) const {
        const std::uint64_t offset = address.value() - segments_[0].base.value();
        if (size <= segments_[0].size && offset <= segments_[0].size - size) [[likely]] {
            return segments_[0].host + offset;
        }
        return locate_slow(address, size);
    }
    [[nodiscard]] std::byte* locate_slow(GuestPhys address, std::uint64_t size) const;
    [[nodiscard]] bool copy_in_slow(GuestPhys from, std::span<std::byte> to) const;
    [[nodiscard]] bool copy_out_slow(GuestPhys to, std::span<const std::byte> from) const;
    // Bytes from `address` to the end of its segment, or 0.
    [[nodiscard]] std::uint64_t contiguous(GuestPhys address) const;
    // True when [address, address + size) is covered, over however many adjacent segments.
    [[nodiscard]] bool covered(GuestPhys address, std::uint64_t size) const;

    std::array<Segment, kMaxSegments> segments_{};
    std::size_t count_ = 0;
};

}  // namespace bulkhead::vmm
