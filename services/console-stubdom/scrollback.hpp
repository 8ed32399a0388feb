// SPDX-License-Identifier: Apache-2.0
// The logs of all domains, in memory that outlives this process: a fixed number of equal slots, each with
// what one domain printed last. A new instance adopts what it finds, slot by slot, if the slot's header is
// whole. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::console {

class Scrollback {
  public:
    static constexpr size_t kSlotBytes = 32 * 1024;
    static constexpr size_t kNameBytes = 32;

    // One domain's log. `written` counts all bytes since its start; the last `capacity()` of them are kept.
    class Log {
      public:
        uint64_t badge() const { return header_->badge; }
        std::string_view name() const;
        uint64_t written() const { return header_->written; }
        uint64_t oldest() const { return written() > capacity() ? written() - capacity() : 0; }
        void append(std::span<const std::byte> bytes);
        // Copies from position `at` on (moved up to oldest() if that is gone), returns how many bytes; `at`
        // becomes the position behind them.
        size_t read(uint64_t& at, std::span<std::byte> out) const;
        void rename(std::string_view name);
        static constexpr size_t capacity() { return kSlotBytes - sizeof(Header); }

        bool connected = false;  // this instance's knowledge

      private:
        friend class Scrollback;
        struct Header {
            uint64_t magic, badge, written, order;  // order: when it was taken, for eviction
            char name[kNameBytes];
        };
        Header* header_ = nullptr;
        std::byte* data_ = nullptr;
    };

    // `memory`: at least one slot long; may hold what a former instance left, or zeroes, or rubbish.
    explicit Scrollback(std::span<std::byte> memory);

    Log* find(uint64_t badge);
    // The domain's log; a new one, which evicts the oldest of a domain that is not connected when all slots
    // are taken. nullptr: all slots belong to connected domains.
    Log* open(uint64_t badge);
    void forget(Log& log);
    std::vector<Log*> logs();

  private:
    static bool used(const Log& log);

    std::vector<Log> slots_;
    uint64_t next_order_ = 1;
};

}  // namespace bulkhead::console
