// SPDX-License-Identifier: Apache-2.0
// Memory for what boot code builds and keeps: page tables, per-CPU data. Taken from the end of the largest
// free range below 4 GiB (identity-mapped while the temporary page tables are in force); never freed.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {

class EarlyMemory {
  public:
    explicit EarlyMemory(abi::BootInfo& info);
    uint64_t page();                 // physical address of a zeroed page
    uint64_t pages(uint64_t count);  // contiguous, zeroed
    void finish();                   // takes what was used out of the free range
    void use_direct_map() { offset_ = true; }

  private:
    abi::BootInfo& info_;
    abi::MemoryRange* range_;
    uint64_t next_;
    bool offset_ = false;
};

}  // namespace bulkhead::init
