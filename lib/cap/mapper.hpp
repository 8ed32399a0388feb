// SPDX-License-Identifier: Apache-2.0
// The program's window of its address space: gives out ranges with an unmapped guard page after each, maps
// frames there and makes the page tables that are missing. Thread-safe. Page tables, once made, stay: they
// are few and serve again.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "lib/cap/memory.hpp"

namespace bulkhead::cap {

class Mapper;

// A mapped run of frames. Its end unmaps the frames and frees the range; the frames themselves are their
// handles' business.
class Mapping {
  public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping() { reset(); }
    void reset();

    std::byte* data() const { return reinterpret_cast<std::byte*>(address_); }
    uint64_t address() const { return address_; }
    uint64_t bytes() const { return bytes_; }
    explicit operator bool() const { return address_ != 0; }

  private:
    friend class Mapper;
    Mapping(Mapper* mapper, uint64_t address, uint64_t bytes, CapAddr first, uint32_t count)
        : mapper_{mapper}, address_{address}, bytes_{bytes}, first_{first}, count_{count} {}

    Mapper* mapper_ = nullptr;
    uint64_t address_ = 0, bytes_ = 0;
    CapAddr first_;
    uint32_t count_ = 0;
};

class Mapper {
  public:
    Mapper(CapAddr vspace, abi::AddressRange window, UntypedAllocator& memory);
    Mapper(const Mapper&) = delete;
    Mapper& operator=(const Mapper&) = delete;

    // `count` frames of 2^bits bytes in consecutive slots from `first`, to consecutive addresses.
    Expected<Mapping> map(CapAddr first, unsigned bits, uint64_t flags, uint32_t count = 1);

    // The same for code that keeps its own books: a range of addresses, and frames at a given place.
    std::optional<uint64_t> reserve(uint64_t bytes, uint64_t alignment);
    void release(uint64_t address, uint64_t bytes);
    Status map_at(uint64_t address, CapAddr first, unsigned bits, uint64_t flags, uint32_t count);

  private:
    friend class Mapping;
    Status add_table(uint64_t address, uint64_t level);

    const CapAddr vspace_;
    UntypedAllocator& memory_;
    std::mutex mutex_;
    std::map<uint64_t, uint64_t> free_;  // address -> bytes, disjoint, never adjacent
    std::vector<Cap<PageTable>> tables_;
};

}  // namespace bulkhead::cap
