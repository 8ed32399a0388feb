// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/journal.hpp"

#include <algorithm>
#include <cassert>

namespace bulkhead::xenstore {
namespace {

constexpr std::size_t kMargin = 512;  // domains' records and quotas, which are not charged one by one

bool apply(std::string_view records, Durable& state) {
    RecordReader reader(records);
    while (reader.next())
        if (!state.restore(reader)) return false;
    return !reader.bad();
}

class ArenaSink final : public Durable::Sink {
  public:
    explicit ArenaSink(Arena& arena) : arena_(arena) {}
    void add(const RecordWriter& records) override {
        [[maybe_unused]] const bool fits = arena_.add_checkpoint(records.bytes());
        assert(fits);  // live_limit() is kept by the store
    }

  private:
    Arena& arena_;
};

}  // namespace

std::size_t Journal::live_limit() const {
    const std::size_t half = std::min(arenas_[0].capacity(), arenas_[1].capacity()) / 2;
    return half > kMargin ? half - kMargin : 0;
}

bool Journal::replay(Arena& arena, Durable& state, Recovery& recovery) {
    if (!apply(arena.checkpoint(), state)) return false;
    bool intact = true;
    for (const std::string_view batch : arena.log(intact)) {
        if (!apply(batch, state)) return false;
        ++recovery.batches;
    }
    return intact;
}

Recovery Journal::recover(Durable& state) {
    Recovery recovery;
    Arena::Health health[2];
    for (int i = 0; i < 2; ++i) {
        health[i] = arenas_[i].inspect();
        newest_epoch_ = std::max(newest_epoch_, arenas_[i].epoch());
    }
    const auto valid = [&](int i) { return health[i] == Arena::Health::valid; };
    const bool any_damaged = health[0] == Arena::Health::damaged || health[1] == Arena::Health::damaged;
    if (valid(0) || valid(1)) {
        current_ = valid(0) && (!valid(1) || arenas_[0].epoch() > arenas_[1].epoch()) ? 0 : 1;
        const bool complete = replay(arenas_[current_], state, recovery);
        recovery.outcome = complete && !any_damaged ? Recovery::Outcome::intact : Recovery::Outcome::salvaged;
        if (!complete)
            recovery.note = "xenstore: the log of the store is damaged after " +
                            std::to_string(recovery.batches) + " batches; what was committed later is lost";
        else if (any_damaged)
            recovery.note =
                "xenstore: one of the two arenas is damaged; the store was taken from the other and may be "
                "older";
    } else if (any_damaged) {
        recovery.outcome = Recovery::Outcome::salvaged;
        recovery.note = "xenstore: no arena verifies; the store starts empty";
    }
    // A fresh checkpoint: the log's end is known again and a damaged arena is used no more.
    checkpoint(state);
    started_ = true;
    return recovery;
}

void Journal::checkpoint(Durable& state) {
    const int other = 1 - current_;
    arenas_[other].begin_checkpoint(++newest_epoch_);
    ArenaSink sink(arenas_[other]);
    state.save(sink);
    arenas_[other].finish_checkpoint();
    current_ = other;
    ++checkpoints_;
}

void Journal::commit(Durable& state) {
    assert(started_);
    if (batch_.bytes().empty()) return;
    if (!arenas_[current_].append(batch_.bytes())) checkpoint(state);
    batch_.clear();
}

}  // namespace bulkhead::xenstore
