// SPDX-License-Identifier: Apache-2.0
// Which slots of a CNode are free. Books only: it makes no system call. Thread-safe.
// Costs one bit per slot; allocation scans words from where the last one succeeded.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "abi/start.hpp"
#include "abi/types.hpp"

namespace bulkhead::cap {

class SlotAllocator {
  public:
    // `cnode` 0: the caller's root CNode; else the root slot of a second-level CNode.
    SlotAllocator(uint32_t cnode, abi::SlotRange range);
    SlotAllocator(const SlotAllocator&) = delete;
    SlotAllocator& operator=(const SlotAllocator&) = delete;

    std::optional<abi::CapAddr> allocate();
    std::optional<abi::CapAddr> allocate_run(uint32_t count);  // consecutive
    void free(abi::CapAddr slot, uint32_t count = 1);
    uint32_t available() const;

  private:
    bool used(uint32_t i) const { return (bits_[i / 64] >> (i % 64)) & 1; }
    void set(uint32_t i, bool value);

    mutable std::mutex mutex_;
    const uint32_t cnode_, first_, count_;
    uint32_t free_, hint_ = 0;
    std::vector<uint64_t> bits_;
};

}  // namespace bulkhead::cap
