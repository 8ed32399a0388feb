// SPDX-License-Identifier: Apache-2.0
// Two arenas as one durable journal. A batch that commit() took is found by the next instance, whatever
// happens to this one.
//
// One arena is in use. When its log is full, a checkpoint of the state *with* the batch goes into the other
// one, which becomes the newer; so a commit always succeeds as long as the state stays within live_limit().
// That is half an arena: each checkpoint buys at least as much log, and its cost is spread over that.
#pragma once

#include <string>

#include "services/xenstore-stubdom/arena.hpp"
#include "services/xenstore-stubdom/records.hpp"

namespace bulkhead::xenstore {

// What the journal asks of the store.
class Durable {
  public:
    virtual ~Durable() = default;
    // Calls sink(records) with the whole state in pieces of any size.
    class Sink {
      public:
        virtual ~Sink() = default;
        virtual void add(const RecordWriter& records) = 0;
    };
    virtual void save(Sink& sink) = 0;
    // Applies the record that `reader` stands at; false if it makes no sense.
    virtual bool restore(RecordReader& reader) = 0;
};

struct Recovery {
    enum class Outcome {
        fresh,     // nothing was there
        intact,    // exactly what was committed
        salvaged,  // a checksum was wrong: what verified was kept; `note` says what was not
    };
    Outcome outcome = Outcome::fresh;
    std::string note;  // a sentence for the log, empty unless salvaged
    std::size_t batches = 0;
};

class Journal {
  public:
    Journal(ArenaMemory& first, ArenaMemory& second) : arenas_{Arena(first), Arena(second)} {}

    // Reads what is there into `state`, which must be empty. Call once, before anything else.
    Recovery recover(Durable& state);

    RecordWriter& batch() { return batch_; }
    void commit(Durable& state);

    std::size_t live_limit() const;
    std::uint64_t checkpoints() const { return checkpoints_; }

  private:
    bool replay(Arena& arena, Durable& state, Recovery& recovery);
    void checkpoint(Durable& state);

    Arena arenas_[2];
    int current_ = 0;
    std::uint64_t newest_epoch_ = 0;
    std::uint64_t checkpoints_ = 0;
    bool started_ = false;
    RecordWriter batch_;
};

}  // namespace bulkhead::xenstore
