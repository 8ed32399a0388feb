// SPDX-License-Identifier: Apache-2.0
#include "lib/cap/mapper.hpp"

#include <algorithm>
#include <utility>

namespace bulkhead::cap {

Mapping::Mapping(Mapping&& other) noexcept
    : mapper_{std::exchange(other.mapper_, nullptr)},
      address_{std::exchange(other.address_, 0)},
      bytes_{other.bytes_},
      first_{other.first_},
      count_{other.count_} {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    if (this != &other) {
        reset();
        mapper_ = std::exchange(other.mapper_, nullptr);
        address_ = std::exchange(other.address_, 0);
        bytes_ = other.bytes_;
        first_ = other.first_;
        count_ = other.count_;
    }
    return *this;
}

void Mapping::reset() {
    if (!mapper_) return;
    drop(sys::unmap(first_, count_));  // the frames may be gone already, and their mapping with them
    mapper_->release(address_, bytes_);
    mapper_ = nullptr;
    address_ = 0;
}

Mapper::Mapper(CapAddr vspace, abi::AddressRange window, UntypedAllocator& memory)
    : vspace_{vspace}, memory_{memory} {
    if (window.size) free_.emplace(window.base, window.size);
}

std::optional<uint64_t> Mapper::reserve(uint64_t bytes, uint64_t alignment) {
    alignment = std::max(alignment, abi::kPageSize);
    const uint64_t need = ((bytes + abi::kPageSize - 1) & ~(abi::kPageSize - 1)) + abi::kPageSize;  // + guard
    if (need < bytes) return std::nullopt;
    const std::lock_guard lock{mutex_};
    for (auto it = free_.begin(); it != free_.end(); ++it) {
        const auto [base, size] = *it;
        const uint64_t start = (base + alignment - 1) & ~(alignment - 1);
        if (start < base || start - base >= size || size - (start - base) < need) continue;
        free_.erase(it);
        if (start > base) free_.emplace(base, start - base);
        if (base + size > start + need) free_.emplace(start + need, base + size - start - need);
        return start;
    }
    return std::nullopt;
}

void Mapper::release(uint64_t address, uint64_t bytes) {
    uint64_t size = ((bytes + abi::kPageSize - 1) & ~(abi::kPageSize - 1)) + abi::kPageSize;
    const std::lock_guard lock{mutex_};
    auto next = free_.lower_bound(address);
    if (next != free_.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second == address) {
            address = before->first;
            size += before->second;
            free_.erase(before);
        }
    }
    if (next != free_.end() && address + size == next->first) {
        size += next->second;
        free_.erase(next);
    }
    free_.emplace(address, size);
}

Status Mapper::add_table(uint64_t address, uint64_t level) {
    if (level < 1 || level > 3) return Status::BadArgument;
    auto table =
        memory_.create<PageTable>(abi::table_size_arg(abi::TableKind::Host, static_cast<unsigned>(level)));
    if (!table) return table.error();
    const uint64_t span = uint64_t{1} << (12 + 9 * level);
    const Status status = sys::table_map(vspace_, table->address(), address & ~(span - 1));
    if (status == Status::AlreadyMapped) return Status::Ok;  // another thread was first
    if (status != Status::Ok) return status;
    const std::lock_guard lock{mutex_};
    tables_.push_back(std::move(*table));
    return Status::Ok;
}

// One leaf table at a time, so that a missing table is always missing for the first frame of a call.
Status Mapper::map_at(uint64_t address, CapAddr first, unsigned bits, uint64_t flags, uint32_t count) {
    const uint64_t bytes = uint64_t{1} << bits;
    const unsigned table_bits = bits < abi::kLargePageBits ? 21 : bits < abi::kHugePageBits ? 30 : 39;
    uint32_t done = 0;
    while (done < count) {
        const uint64_t at = address + done * bytes;
        const uint64_t left_in_table = (((at >> table_bits) + 1) << table_bits) - at;
        const uint64_t run = std::min<uint64_t>(count - done, left_in_table / bytes);
        const Result r = sys::frame_map(vspace_, first.plus(done), at, flags, run);
        Status status = r.status;
        if (r.ok()) done += static_cast<uint32_t>(run);
        if (status == Status::NoPageTable) status = add_table(at, r.r0);
        if (status == Status::Ok) continue;
        if (done) drop(sys::unmap(first, done));
        return status;
    }
    return Status::Ok;
}

Expected<Mapping> Mapper::map(CapAddr first, unsigned bits, uint64_t flags, uint32_t count) {
    if (bits < abi::kPageBits || bits > abi::kHugePageBits || count == 0)
        return std::unexpected{Status::BadArgument};
    const uint64_t bytes = uint64_t{count} << bits;
    const auto address = reserve(bytes, uint64_t{1} << bits);
    if (!address) return std::unexpected{Status::OutOfMemory};
    if (const Status status = map_at(*address, first, bits, flags, count); status != Status::Ok) {
        release(*address, bytes);
        return std::unexpected{status};
    }
    return Mapping{this, *address, bytes, first, count};
}

}  // namespace bulkhead::cap
