// SPDX-License-Identifier: Apache-2.0
// The steps of a guest's life that touch memory and the journal, in the only order in which dom0 may die at
// any of them.
//
//   begin      Building is committed with the chunks that it will have      carry_out splits them off
//   complete   Live is committed
//   tear_down  Dying is committed, the chunks are revoked, they become free and that is committed (Gone),
//   then they are merged erase      nothing is left of it
#pragma once

#include <expected>

#include "toolstack/dom0/journal.hpp"
#include "toolstack/dom0/memory.hpp"

namespace bulkhead::dom0 {

class Ledger {
  public:
    enum class Refusal { NoMemory, JournalFull };
    // The VMM's own memory: its image, its objects, half of it its heap. What grows with a guest is a thread
    // for each vCPU.
    static unsigned vmm_bits(const xl::DomainConfig& config) {
        return config.max_vcpus <= 2 ? 22 : config.max_vcpus <= 8 ? 23 : 24;
    }

    Ledger(State& state, Journal& journal, Memory& memory)
        : state_{state}, journal_{journal}, memory_{memory} {}

    bool commit() { return journal_.commit(state_.encode()); }

    // `successor_of`: the record in whose place the new one comes: in one commit, so that dom0's death loses
    // neither. 0: none.
    std::expected<std::uint32_t, Refusal> begin(const xl::DomainConfig& config, std::uint32_t successor_of,
                                                std::uint64_t now_tsc);
    cap::Status carry_out() { return memory_.carry_out(); }
    bool complete(std::uint32_t id);

    // `bury` is called when nothing of the domain runs any more.
    template <typename Bury>
    void tear_down(std::uint32_t id, bool restart, Bury&& bury) {
        DomainRecord& record = *state_.find(id);
        record.phase = Phase::Dying;
        record.restart = restart;
        (void)commit();  // not longer than what the journal holds already
        memory_.revoke(record.chunks);
        bury();
        free_memory(id);
    }
    void erase(std::uint32_t id);

  private:
    std::uint32_t free_id() const;
    void free_memory(std::uint32_t id);

    State& state_;
    Journal& journal_;
    Memory& memory_;
};

}  // namespace bulkhead::dom0
