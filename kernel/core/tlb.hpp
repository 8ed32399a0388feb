// SPDX-License-Identifier: Apache-2.0
// The obligation to make stale translations unusable. Unmapping adds to it; it must be discharged before the
// kernel lock is released, and so before anybody can learn that the unmapping succeeded or use the memory
// again. Collecting the ranges of one call makes one round of interrupts out of many.
#pragma once

#include "kernel/core/page_table.hpp"

namespace bulkhead::core {

class TlbCleanup {
  public:
    void add(PageTable& root, uint64_t address, uint64_t bytes) {
        if (root_ != nullptr && root_ != &root) discharge();
        if (root_ == nullptr) {
            root_ = &root;
            first_ = address;
            end_ = address + bytes;
            return;
        }
        if (address < first_) first_ = address;
        if (address + bytes > end_) end_ = address + bytes;
    }
    bool pending() const { return root_ != nullptr; }
    void discharge() {
        if (root_ == nullptr) return;
        arch::tlb_shootdown(*root_, first_, end_ - first_);
        root_ = nullptr;
    }

  private:
    PageTable* root_;
    uint64_t first_, end_;
};

}  // namespace bulkhead::core
