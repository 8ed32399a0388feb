// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/arena.hpp"

#include <atomic>
#include <cstring>

namespace bulkhead::xenstore {
namespace {

constexpr std::uint64_t kMagic = 0x31307365726f7473ULL;  // "stores01"
constexpr std::size_t kEpoch = 8, kSize = 16, kSum = 24, kCommit = 32;

std::uint64_t load(const char* from) {
    std::uint64_t value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

std::uint32_t batch_check(std::uint64_t epoch, std::size_t offset, const char* records, std::size_t size) {
    Checksum sum(epoch);
    sum.add_word(offset);
    sum.add_word(size);
    sum.add(records, size);
    return sum.folded();
}

}  // namespace

void MappedArena::write(std::size_t offset, const void* from, std::size_t size) {
    std::memcpy(memory_.data() + offset, from, size);
}

void MappedArena::publish(std::size_t offset, std::uint64_t value) {
    std::atomic_ref<std::uint64_t> target(*reinterpret_cast<std::uint64_t*>(memory_.data() + offset));
    // Whoever reads this memory runs after we are gone, so the order that counts is that of our own stores.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    target.store(value, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

void Checksum::add(const char* bytes, std::size_t size) {
    for (std::size_t i = 0; i < size; i += 8) add_word(load(bytes + i));
}

std::uint64_t Arena::word(std::size_t offset) const {
    return load(memory_.data() + offset);
}

std::uint64_t Arena::commit_word(std::uint64_t epoch, std::uint32_t size) {
    Checksum sum(epoch);
    sum.add_word(~std::uint64_t{size});
    return std::uint64_t{sum.folded()} << 32 | size;
}

Arena::Health Arena::inspect() {
    // Magic zero: never used, or a checkpoint was under way here when its writer died.
    if (word(0) == 0) return Health::blank;
    if (word(0) != kMagic) return Health::damaged;
    const std::uint64_t epoch = word(kEpoch);
    const std::uint64_t size = word(kSize);
    if (size > capacity() || size % 8 != 0) return Health::damaged;
    Checksum sum(epoch);
    sum.add(memory_.data() + kHeader, size);
    sum.add_word(size);
    if (sum.value() != word(kSum)) return Health::damaged;
    epoch_ = epoch;
    checkpoint_size_ = size;
    return Health::valid;
}

std::string_view Arena::checkpoint() const {
    return {memory_.data() + kHeader, checkpoint_size_};
}

std::vector<std::string_view> Arena::log(bool& intact) const {
    std::vector<std::string_view> batches;
    const std::uint64_t commit = word(kCommit);
    const auto claimed = static_cast<std::uint32_t>(commit);
    const std::size_t room = capacity() - checkpoint_size_;
    const bool trusted = commit == commit_word(epoch_, claimed) && claimed <= room && claimed % 8 == 0;
    // Without a good commit word, the batches that verify are all that is left to go by.
    const std::size_t end = trusted ? claimed : room;
    const char* base = memory_.data() + kHeader + checkpoint_size_;
    std::size_t at = 0;
    while (at + 8 <= end) {
        const std::uint64_t head = load(base + at);
        const std::size_t size = static_cast<std::uint32_t>(head);
        if (size == 0 || size % 8 != 0 || size > end - at - 8) break;
        if (batch_check(epoch_, at, base + at + 8, size) != head >> 32) break;
        batches.emplace_back(base + at + 8, size);
        at += 8 + size;
    }
    intact = trusted && at == end;
    return batches;
}

bool Arena::append(std::span<const char> records) {
    if (records.size() + 8 > log_room()) return false;
    const std::size_t at = kHeader + checkpoint_size_ + log_size_;
    const std::uint64_t head =
        std::uint64_t{batch_check(epoch_, log_size_, records.data(), records.size())} << 32 | records.size();
    memory_.write(at, &head, sizeof head);
    memory_.write(at + 8, records.data(), records.size());
    log_size_ += 8 + records.size();
    memory_.publish(kCommit, commit_word(epoch_, static_cast<std::uint32_t>(log_size_)));
    return true;
}

void Arena::begin_checkpoint(std::uint64_t epoch) {
    memory_.publish(0, 0);
    epoch_ = epoch;
    checkpoint_size_ = 0;
    log_size_ = 0;
    building_.emplace(epoch);
}

bool Arena::add_checkpoint(std::span<const char> records) {
    if (records.size() > log_room()) return false;
    memory_.write(kHeader + checkpoint_size_, records.data(), records.size());
    building_->add(records.data(), records.size());
    checkpoint_size_ += records.size();
    return true;
}

void Arena::finish_checkpoint() {
    building_->add_word(checkpoint_size_);
    const std::uint64_t fields[] = {epoch_, checkpoint_size_, building_->value(), commit_word(epoch_, 0)};
    memory_.write(kEpoch, fields, sizeof fields);
    memory_.publish(0, kMagic);
    building_.reset();
}

}  // namespace bulkhead::xenstore
