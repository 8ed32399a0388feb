// SPDX-License-Identifier: Apache-2.0
// One piece of memory that outlives this process: a checkpoint, followed by a log of what was committed
// since.
//
//   0   magic         written last when a checkpoint is made: its store makes the arena valid
//   8   epoch         the newer of two valid arenas has the higher one
//   16  checkpoint size, a multiple of 8
//   24  checksum over epoch, size and checkpoint
//   32  commit word   log size in the low half, a check of (epoch, size) in the high half
//   64  checkpoint | log: batch* ;  batch = { u32 size of records | u32 check } records
//
// A batch is written beyond the committed end, then one 8-byte store of the commit word makes it part of the
// log. The process may die between any two stores: the next one finds the state before or after that store,
// nothing between. What can be lost to a wild write is told apart by the checksums.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace bulkhead::xenstore {

// The memory of an arena. Every store that must outlive us goes through here, which lets tests die at each.
class ArenaMemory {
  public:
    virtual ~ArenaMemory() = default;
    virtual std::size_t size() const = 0;
    virtual const char* data() const = 0;
    // Plain stores, in any order among themselves.
    virtual void write(std::size_t offset, const void* from, std::size_t size) = 0;
    // One 8-byte store, after all earlier ones and before all later ones. `offset` is 8-byte aligned.
    virtual void publish(std::size_t offset, std::uint64_t value) = 0;
};

class MappedArena final : public ArenaMemory {
  public:
    explicit MappedArena(std::span<char> memory) : memory_(memory) {}
    std::size_t size() const override { return memory_.size(); }
    const char* data() const override { return memory_.data(); }
    void write(std::size_t offset, const void* from, std::size_t size) override;
    void publish(std::size_t offset, std::uint64_t value) override;

  private:
    std::span<char> memory_;
};

// Not cryptographic: each step is a bijection in the state and in the word, so that one changed word is
// always seen.
class Checksum {
  public:
    explicit Checksum(std::uint64_t seed) : state_(seed ^ 0x9e3779b97f4a7c15ULL) { add_word(seed); }
    void add_word(std::uint64_t word) {
        state_ = (state_ ^ word) * 0xd6e8feb86659fd93ULL;
        state_ ^= state_ >> 32;
    }
    void add(const char* bytes, std::size_t size);  // a multiple of 8
    std::uint64_t value() const { return state_; }
    std::uint32_t folded() const { return static_cast<std::uint32_t>(state_ ^ (state_ >> 29)); }

  private:
    std::uint64_t state_;
};

class Arena {
  public:
    static constexpr std::size_t kHeader = 64;
    static constexpr std::size_t kMinimum = 4096;

    explicit Arena(ArenaMemory& memory) : memory_(memory) {}

    enum class Health { blank, valid, damaged };
    Health inspect();  // reads the header and verifies the checkpoint
    std::uint64_t epoch() const { return epoch_; }
    std::string_view checkpoint() const;
    // The committed batches, one by one. `intact` becomes false if there is one that does not verify; nothing
    // follows it.
    std::vector<std::string_view> log(bool& intact) const;

    std::size_t capacity() const { return memory_.size() - kHeader; }
    std::size_t log_room() const { return capacity() - checkpoint_size_ - log_size_; }

    // Appends and commits one batch; false when there is no room.
    bool append(std::span<const char> records);

    // A new checkpoint: begin, add*, finish. Until finish the arena is invalid. `add` is false when there is
    // no room.
    void begin_checkpoint(std::uint64_t epoch);
    bool add_checkpoint(std::span<const char> records);
    void finish_checkpoint();

  private:
    std::uint64_t word(std::size_t offset) const;
    static std::uint64_t commit_word(std::uint64_t epoch, std::uint32_t size);

    ArenaMemory& memory_;
    std::uint64_t epoch_ = 0;
    std::size_t checkpoint_size_ = 0;
    std::size_t log_size_ = 0;
    std::optional<Checksum> building_;
};

}  // namespace bulkhead::xenstore
