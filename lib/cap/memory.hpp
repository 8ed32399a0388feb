// SPDX-License-Identifier: Apache-2.0
// Kernel objects and memory from this program's own Untypeds: a buddy allocator whose blocks are Untyped
// capabilities.
//
// A block of 2^n bytes is an Untyped retyped from its parent block; splitting retypes two halves, merging
// deletes both (a kernel Untyped only reuses memory when it has no children). Every object sits alone in a
// block of its own, so that its handle's end can revoke that block: all copies of the object, also those that
// other domains hold, are gone, and the memory comes back zeroed. Costs two slots per object and two per
// split; blocks are at least 4 KiB. Thread-safe.
#pragma once

#include <mutex>
#include <vector>

#include "abi/bootinfo.hpp"
#include "lib/cap/cspace.hpp"

namespace bulkhead::cap {

class UntypedAllocator final : public CapOwner {
  public:
    UntypedAllocator(CSpace& cspace, const abi::KernelInfo& kernel, abi::SlotRange untypeds);
    ~UntypedAllocator() = default;

    // Hands over one more Untyped (refused if something was made from it already), or takes a given one back
    // if nothing of it is in use.
    bool add(CapAddr untyped);
    bool remove(CapAddr untyped);

    // `size` as abi/syscall.hpp says for retype: bits of a Frame, CNode; table_size_arg of a PageTable; else
    // 0.
    template <typename T>
    Expected<Cap<T>> create(uint64_t size = 0) {
        const auto made = make(T::kType, size);
        if (!made) return std::unexpected{made.error()};
        return Cap<T>{made->slot, this, made->node};
    }
    // A raw Untyped of 2^bits bytes, to retype as one likes; its end revokes all that was made of it.
    Expected<Cap<Untyped>> untyped(unsigned bits);

    uint64_t free_bytes() const;

    void dispose(CapAddr slot, uint32_t node) override;

  private:
    static constexpr unsigned kMinBits = abi::kPageBits, kMaxBits = 47;
    static constexpr uint32_t kNone = ~uint32_t{0};
    struct Node {
        CapAddr cap;
        uint32_t parent, buddy;
        uint8_t bits;
        bool free, live;
    };
    struct Made {
        CapAddr slot;
        uint32_t node;
    };

    Expected<Made> make(ObjectType type, uint64_t size);
    unsigned bits_for(ObjectType type, uint64_t size) const;
    Expected<uint32_t> take(unsigned bits);
    void give_back(uint32_t index);
    bool split(uint32_t index);
    uint32_t new_node(Node node);
    void push(uint32_t index);
    void unlink(uint32_t index);

    mutable std::mutex mutex_;
    CSpace& cspace_;
    const abi::KernelInfo& kernel_;
    std::vector<Node> nodes_;
    std::vector<uint32_t> spare_;                // unused entries of nodes_
    std::vector<uint32_t> lists_[kMaxBits + 1];  // free blocks by size
};

}  // namespace bulkhead::cap
