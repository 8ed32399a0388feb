// SPDX-License-Identifier: Apache-2.0
// Derived capabilities in one's own slots: copies and mints as handles that delete themselves. Thread-safe.
#pragma once

#include <expected>

#include "lib/cap/handle.hpp"
#include "lib/cap/slots.hpp"

namespace bulkhead::cap {

template <typename T>
using Expected = std::expected<T, Status>;

class CSpace final : public CapOwner {
  public:
    CSpace(uint32_t cnode, abi::SlotRange range) : slots_{cnode, range} {}

    SlotAllocator& slots() { return slots_; }

    template <typename T>
    Expected<Cap<T>> copy(CapAddr src, uint8_t rights) {
        return fill<T>([&](CapAddr dst) { return sys::cap_copy(dst, src, rights); });
    }
    template <typename T>
    Expected<Cap<T>> mint(CapAddr src, uint8_t rights, uint64_t badge) {
        return fill<T>([&](CapAddr dst) { return sys::cap_mint(dst, src, rights, badge); });
    }
    Expected<Cap<Frame>> mint_frame(CapAddr src, uint8_t rights, uint64_t offset, unsigned size_bits) {
        return fill<Frame>([&](CapAddr dst) { return sys::frame_mint(dst, src, rights, offset, size_bits); });
    }
    // An empty slot as a handle: to receive a capability into. Its end deletes whatever is there then.
    template <typename T>
    Expected<Cap<T>> empty() {
        return fill<T>([](CapAddr) { return Status::Ok; });
    }

    void dispose(CapAddr slot, uint32_t) override {
        drop(sys::cap_delete(slot));  // the slot may be empty by now: revoked from elsewhere
        slots_.free(slot);
    }

  private:
    template <typename T, typename Make>
    Expected<Cap<T>> fill(Make make) {
        const auto slot = slots_.allocate();
        if (!slot) return std::unexpected{Status::OutOfMemory};
        if (const Status status = make(*slot); status != Status::Ok) {
            slots_.free(*slot);
            return std::unexpected{status};
        }
        return Cap<T>{*slot, this};
    }

    SlotAllocator slots_;
};

}  // namespace bulkhead::cap
