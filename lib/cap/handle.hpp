// SPDX-License-Identifier: Apache-2.0
// Cap<T>: the one owner of a capability slot of this domain. Move-only; what its end means is its owner's
// business: a minted copy is deleted, an object made from an UntypedAllocator is destroyed (its memory
// revoked, every copy of it gone). A borrowed handle (a slot that the supervisor filled) is never deleted.
// Not thread-safe, like any value.
#pragma once

#include <utility>

#include "lib/cap/syscall.hpp"

namespace bulkhead::cap {

// Types for Cap<T>
struct Untyped {
    static constexpr ObjectType kType = ObjectType::Untyped;
};
struct CNode {
    static constexpr ObjectType kType = ObjectType::CNode;
};
struct Frame {
    static constexpr ObjectType kType = ObjectType::Frame;
};
struct PageTable {
    static constexpr ObjectType kType = ObjectType::PageTable;
};
struct Thread {
    static constexpr ObjectType kType = ObjectType::Thread;
};
struct SchedContext {
    static constexpr ObjectType kType = ObjectType::SchedContext;
};
struct Endpoint {
    static constexpr ObjectType kType = ObjectType::Endpoint;
};
struct Reply {
    static constexpr ObjectType kType = ObjectType::Reply;
};
struct Notification {
    static constexpr ObjectType kType = ObjectType::Notification;
};
struct Vcpu {
    static constexpr ObjectType kType = ObjectType::Vcpu;
};
struct IrqHandler {
    static constexpr ObjectType kType = ObjectType::IrqHandler;
};
struct IoPort {
    static constexpr ObjectType kType = ObjectType::IoPort;
};

// Takes a capability back when its handle ends. Outlives the handles it gave out.
class CapOwner {
  public:
    virtual void dispose(CapAddr slot, uint32_t cookie) = 0;

  protected:
    ~CapOwner() = default;
};

template <typename T>
class Cap {
  public:
    Cap() = default;
    Cap(CapAddr slot, CapOwner* owner, uint32_t cookie = 0) : slot_{slot}, owner_{owner}, cookie_{cookie} {}
    static Cap borrow(CapAddr slot) { return Cap{slot, nullptr}; }

    Cap(Cap&& other) noexcept
        : slot_{std::exchange(other.slot_, CapAddr{})},
          owner_{std::exchange(other.owner_, nullptr)},
          cookie_{other.cookie_} {}
    Cap& operator=(Cap&& other) noexcept {
        if (this != &other) {
            reset();
            slot_ = std::exchange(other.slot_, CapAddr{});
            owner_ = std::exchange(other.owner_, nullptr);
            cookie_ = other.cookie_;
        }
        return *this;
    }
    ~Cap() { reset(); }

    void reset() {
        if (owner_) owner_->dispose(slot_, cookie_);
        slot_ = CapAddr{};
        owner_ = nullptr;
    }
    CapAddr address() const { return slot_; }
    explicit operator bool() const { return !slot_.is_null(); }

  private:
    CapAddr slot_;
    CapOwner* owner_ = nullptr;
    uint32_t cookie_ = 0;
};

}  // namespace bulkhead::cap
