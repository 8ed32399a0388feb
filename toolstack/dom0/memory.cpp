// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/memory.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::dom0 {

using cap::Status;

void Memory::adopt(std::uint32_t count) {
    for (std::uint32_t slot = 1; slot <= count && slot < state_.nodes.size(); slot++) {
        const auto untyped = cap::sys::untyped_info(address(slot));
        if (!untyped.ok() || untyped.device || untyped.size_bits < kMinBits) continue;
        state_.nodes[slot] = {Use::Free, static_cast<std::uint8_t>(untyped.size_bits), kNoSlot, {}, 0};
    }
}

// The smallest free node that is large enough, split until it fits; the half with the lower slot is taken.
std::optional<std::uint32_t> Memory::take(unsigned bits) {
    auto& nodes = state_.nodes;
    std::uint32_t best = kNoSlot;
    for (std::uint32_t slot = 1; slot < nodes.size(); slot++)
        if (nodes[slot].use == Use::Free && nodes[slot].bits >= bits &&
            (best == kNoSlot || nodes[slot].bits < nodes[best].bits))
            best = slot;
    if (best == kNoSlot) return std::nullopt;
    while (nodes[best].bits > bits) {
        const auto left = empty_slot();
        const auto right = left ? empty_slot(*left) : std::nullopt;
        if (!right) return std::nullopt;
        const Node half{Use::Free, static_cast<std::uint8_t>(nodes[best].bits - 1), best, {}, 0};
        nodes[*left] = nodes[*right] = half;
        nodes[best].use = Use::Split;
        nodes[best].child[0] = *left;
        nodes[best].child[1] = *right;
        to_split_.push_back(best);
        best = *left;
    }
    return best;
}

std::optional<std::uint32_t> Memory::empty_slot(std::uint32_t after) const {
    for (std::uint32_t slot = after + 1; slot < state_.nodes.size(); slot++)
        if (state_.nodes[slot].use == Use::None) return slot;
    return std::nullopt;
}

std::optional<std::vector<std::uint32_t>> Memory::reserve(std::uint32_t domain, unsigned first_bits,
                                                          std::uint64_t bytes) {
    constexpr std::size_t kMaxChunks = 60;  // the supervisor takes 64
    const auto saved = state_.nodes;
    const auto saved_splits = to_split_.size();
    std::vector<std::uint32_t> chunks;
    auto give_up = [&] {
        state_.nodes = saved;
        to_split_.resize(saved_splits);
        return std::nullopt;
    };
    auto want = [&](unsigned bits) {
        const auto slot = take(bits);
        if (!slot) return false;
        state_.nodes[*slot].use = Use::Used;
        state_.nodes[*slot].domain = domain;
        chunks.push_back(*slot);
        return true;
    };
    if (!want(first_bits)) return give_up();
    std::uint64_t left = (bytes + (std::uint64_t{1} << kMinBits) - 1) >> kMinBits << kMinBits;
    unsigned largest = kMaxBits;
    while (left != 0) {
        if (chunks.size() == kMaxChunks) return give_up();
        largest = std::min<unsigned>(largest, static_cast<unsigned>(std::bit_width(left)) - 1);
        if (largest < kMinBits) return give_up();
        if (want(largest))
            left -= std::uint64_t{1} << largest;
        else
            largest--;
    }
    return chunks;
}

void Memory::drop_below(std::uint32_t slot) {
    // Depth is bounded by kMaxBits - kMinBits; still a worklist, as everywhere.
    std::vector<std::uint32_t> work{slot};
    while (!work.empty()) {
        const std::uint32_t at = work.back();
        work.pop_back();
        if (state_.nodes[at].use == Use::Split)
            work.insert(work.end(), std::begin(state_.nodes[at].child), std::end(state_.nodes[at].child));
        if (at != slot) state_.nodes[at] = {};
    }
    state_.nodes[slot].use = Use::Free;
    state_.nodes[slot].domain = 0;
    state_.nodes[slot].child[0] = state_.nodes[slot].child[1] = kNoSlot;
}

void Memory::release(const std::vector<std::uint32_t>& chunks) {
    auto& nodes = state_.nodes;
    for (std::uint32_t slot : chunks) {
        if (nodes[slot].use != Use::Used) continue;
        nodes[slot].use = Use::Free;
        nodes[slot].domain = 0;
        while (nodes[slot].parent != kNoSlot) {
            const std::uint32_t parent = nodes[slot].parent;
            if (nodes[nodes[parent].child[0]].use != Use::Free ||
                nodes[nodes[parent].child[1]].use != Use::Free)
                break;
            drop_below(parent);
            slot = parent;
        }
        to_revoke_.push_back(slot);
    }
}

Status Memory::carry_out() {
    for (const std::uint32_t slot : std::exchange(to_revoke_, {}))
        if (state_.nodes[slot].use == Use::Free) cap::drop(cap::sys::cap_revoke(address(slot)));
    Status result = Status::Ok;
    for (const std::uint32_t slot : std::exchange(to_split_, {}))
        for (const std::uint32_t child : state_.nodes[slot].child) {
            if (result != Status::Ok) break;
            result = cap::sys::retype(address(slot), cap::ObjectType::Untyped, state_.nodes[child].bits,
                                      address(child));
        }
    return result;
}

void Memory::revoke(const std::vector<std::uint32_t>& chunks) {
    for (const std::uint32_t slot : chunks) cap::drop(cap::sys::cap_revoke(address(slot)));
}

std::vector<bool> Memory::with_used_below() const {
    const auto& nodes = state_.nodes;
    std::vector<bool> used(nodes.size());
    for (std::uint32_t slot = 1; slot < nodes.size(); slot++)
        if (nodes[slot].use == Use::Used)
            for (std::uint32_t at = slot; at != kNoSlot && !used[at]; at = nodes[at].parent) used[at] = true;
    return used;
}

void Memory::recover() {
    auto& nodes = state_.nodes;
    const std::vector<bool> used = with_used_below();
    for (std::uint32_t slot = 1; slot < nodes.size(); slot++) {
        if (nodes[slot].use == Use::None || used[slot]) continue;
        if (nodes[slot].parent != kNoSlot && !used[nodes[slot].parent]) continue;  // its top does it
        drop_below(slot);
        cap::drop(cap::sys::cap_revoke(address(slot)));
    }
    for (std::uint32_t slot = 1; slot < nodes.size(); slot++)
        if (nodes[slot].use == Use::None) cap::drop(cap::sys::cap_delete(address(slot)));
    forget_plans();
}

std::uint64_t Memory::free_bytes() const {
    std::uint64_t bytes = 0;
    for (const Node& node : state_.nodes)
        if (node.use == Use::Free) bytes += std::uint64_t{1} << node.bits;
    return bytes;
}

std::uint64_t Memory::total_bytes() const {
    std::uint64_t bytes = 0;
    for (const Node& node : state_.nodes)
        if (node.use != Use::None && node.parent == kNoSlot) bytes += std::uint64_t{1} << node.bits;
    return bytes;
}

}  // namespace bulkhead::dom0
