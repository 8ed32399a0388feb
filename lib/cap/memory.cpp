// SPDX-License-Identifier: Apache-2.0
#include "lib/cap/memory.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::cap {

UntypedAllocator::UntypedAllocator(CSpace& cspace, const abi::KernelInfo& kernel, abi::SlotRange untypeds)
    : cspace_{cspace}, kernel_{kernel} {
    for (uint32_t i = 0; i < untypeds.count; ++i) add(CapAddr{0, untypeds.first + i});
}

bool UntypedAllocator::add(CapAddr untyped) {
    const auto info = sys::untyped_info(untyped);
    if (!info.ok() || info.device || info.size_bits < kMinBits || info.size_bits > kMaxBits) return false;
    if (info.free_bytes != uint64_t{1} << info.size_bits)
        return false;  // somebody (the personality) lives in it
    const std::lock_guard lock{mutex_};
    push(new_node({untyped, kNone, kNone, static_cast<uint8_t>(info.size_bits), true, true}));
    return true;
}

bool UntypedAllocator::remove(CapAddr untyped) {
    const std::lock_guard lock{mutex_};
    for (uint32_t i = 0; i < nodes_.size(); ++i) {
        Node& node = nodes_[i];
        if (!node.live || node.cap != untyped || node.parent != kNone) continue;
        if (!node.free) return false;
        unlink(i);
        node.live = false;
        spare_.push_back(i);
        return true;
    }
    return false;
}

uint32_t UntypedAllocator::new_node(Node node) {
    if (spare_.empty()) {
        nodes_.push_back(node);
        return static_cast<uint32_t>(nodes_.size() - 1);
    }
    const uint32_t index = spare_.back();
    spare_.pop_back();
    nodes_[index] = node;
    return index;
}

void UntypedAllocator::push(uint32_t index) {
    nodes_[index].free = true;
    lists_[nodes_[index].bits].push_back(index);
}

void UntypedAllocator::unlink(uint32_t index) {
    auto& list = lists_[nodes_[index].bits];
    list.erase(std::find(list.begin(), list.end(), index));
    nodes_[index].free = false;
}

// Halves a block that is in nobody's list. False: no slots, or the kernel refused.
bool UntypedAllocator::split(uint32_t index) {
    const Node block = nodes_[index];
    const uint8_t bits = static_cast<uint8_t>(block.bits - 1);
    CapAddr halves[2];
    for (int i = 0; i < 2; ++i) {
        const auto slot = cspace_.slots().allocate();
        if (slot && sys::retype(block.cap, ObjectType::Untyped, bits, *slot) == Status::Ok) {
            halves[i] = *slot;
            continue;
        }
        if (slot) cspace_.slots().free(*slot);
        if (i == 1) cspace_.dispose(halves[0], 0);
        return false;
    }
    const uint32_t left = new_node({halves[0], index, kNone, bits, false, true});
    const uint32_t right = new_node({halves[1], index, left, bits, false, true});
    nodes_[left].buddy = right;
    push(right);
    push(left);
    return true;
}

Expected<uint32_t> UntypedAllocator::take(unsigned bits) {
    if (bits > kMaxBits) return std::unexpected{Status::OutOfMemory};
    bits = std::max(bits, kMinBits);
    unsigned from = bits;
    while (from <= kMaxBits && lists_[from].empty()) ++from;
    if (from > kMaxBits) return std::unexpected{Status::OutOfMemory};
    for (; from > bits; --from) {
        const uint32_t block = lists_[from].back();
        unlink(block);
        if (!split(block)) {
            give_back(block);  // and whole again, if it was split on the way here
            return std::unexpected{Status::OutOfMemory};
        }
    }
    const uint32_t block = lists_[bits].back();
    unlink(block);
    return block;
}

// The block has no children: merges it with its buddy as far up as possible.
void UntypedAllocator::give_back(uint32_t index) {
    for (;;) {
        const Node node = nodes_[index];
        if (node.buddy == kNone || !nodes_[node.buddy].free) return push(index);
        unlink(node.buddy);
        for (uint32_t half : {index, node.buddy}) {
            cspace_.dispose(nodes_[half].cap, 0);
            nodes_[half].live = false;
            spare_.push_back(half);
        }
        index = node.parent;
    }
}

unsigned UntypedAllocator::bits_for(ObjectType type, uint64_t size) const {
    if (type == ObjectType::Frame || type == ObjectType::Untyped)
        return static_cast<unsigned>(std::min<uint64_t>(size, 64));
    uint64_t bytes = kernel_.object_bytes[static_cast<size_t>(type)];
    if (type == ObjectType::PageTable) bytes = std::max<uint64_t>(bytes, abi::kPageSize);
    if (type == ObjectType::CNode) bytes += uint64_t{64} << std::min<uint64_t>(size, 32);
    return static_cast<unsigned>(std::bit_width(std::max<uint64_t>(bytes, abi::kPageSize) - 1));
}

Expected<UntypedAllocator::Made> UntypedAllocator::make(ObjectType type, uint64_t size) {
    const std::lock_guard lock{mutex_};
    const auto slot = cspace_.slots().allocate();
    if (!slot) return std::unexpected{Status::OutOfMemory};
    unsigned bits = bits_for(type, size);
    // The kernel may need alignment that object_bytes does not tell: one size up before giving in.
    for (int attempt = 0;; ++attempt, ++bits) {
        const auto node = take(bits);
        if (!node) {
            cspace_.slots().free(*slot);
            return std::unexpected{node.error()};
        }
        const Status status = sys::retype(nodes_[*node].cap, type, size, *slot);
        if (status == Status::Ok) return Made{*slot, *node};
        give_back(*node);
        if (status == Status::OutOfMemory && attempt == 0 && type != ObjectType::Frame) continue;
        cspace_.slots().free(*slot);
        return std::unexpected{status};
    }
}

Expected<Cap<Untyped>> UntypedAllocator::untyped(unsigned bits) {
    const std::lock_guard lock{mutex_};
    const auto node = take(bits);
    if (!node) return std::unexpected{node.error()};
    return Cap<Untyped>{nodes_[*node].cap, this, *node};
}

void UntypedAllocator::dispose(CapAddr slot, uint32_t node) {
    const std::lock_guard lock{mutex_};
    drop(sys::cap_revoke(nodes_[node].cap));
    if (slot != nodes_[node].cap) cspace_.slots().free(slot);  // else the handle was the block itself
    give_back(node);
}

uint64_t UntypedAllocator::free_bytes() const {
    const std::lock_guard lock{mutex_};
    uint64_t bytes = 0;
    for (unsigned bits = kMinBits; bits <= kMaxBits; ++bits) bytes += lists_[bits].size() << bits;
    return bytes;
}

}  // namespace bulkhead::cap
