// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/journal.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace bulkhead::dom0 {
namespace {

// Against torn and stray writes, not against an enemy: nobody else can write here.
std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
    std::uint64_t sum = seed * 0x9e3779b97f4a7c15u + bytes.size();
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t count = std::min<std::size_t>(8, bytes.size());
        std::memcpy(&word, bytes.data(), count);
        sum = (sum ^ word) * 0xc2b2ae3d27d4eb4fu;
        sum ^= sum >> 29;
        bytes = bytes.subspan(count);
    }
    return sum;
}

}  // namespace

Journal::Journal(std::span<std::byte> memory) : memory_{memory}, half_{memory.size() / 2 & ~std::size_t{7}} {
    const auto first = valid(0), second = valid(1);
    if (!first && !second) {
        damaged_ = std::ranges::any_of(memory_.first(std::min<std::size_t>(memory_.size(), 4096)),
                                       [](std::byte b) { return b != std::byte{}; });
        return;
    }
    current_ = first && (!second || first->sequence > second->sequence) ? 0 : 1;
    sequence_ = current_ == 0 ? first->sequence : second->sequence;
}

std::optional<Journal::Header> Journal::valid(std::size_t index) const {
    Header header;
    std::memcpy(&header, half(index), sizeof header);
    if (header.magic != kMagic || header.size > capacity()) return std::nullopt;
    if (checksum({half(index) + sizeof header, header.size}, header.sequence) != header.checksum)
        return std::nullopt;
    return header;
}

std::optional<std::span<const std::byte>> Journal::load() const {
    const auto header = valid(current_);
    if (!header) return std::nullopt;
    return std::span<const std::byte>{half(current_) + sizeof(Header), header->size};
}

bool Journal::commit(std::span<const std::byte> bytes) {
    if (bytes.size() > capacity()) return false;
    const std::size_t next = sequence_ == 0 ? 0 : 1 - current_;
    std::byte* to = half(next);
    // Death stops this thread between two instructions, so the order of the program is all that counts.
    Header header{0, sequence_ + 1, bytes.size(), checksum(bytes, sequence_ + 1)};
    std::memcpy(to, &header, sizeof header);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(to + sizeof header, bytes.data(), bytes.size());
    std::atomic_signal_fence(std::memory_order_seq_cst);
    header.magic = kMagic;
    std::memcpy(to, &header.magic, sizeof header.magic);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    current_ = next;
    sequence_++;
    return true;
}

}  // namespace bulkhead::dom0
