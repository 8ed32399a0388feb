// SPDX-License-Identifier: Apache-2.0
// The machine's free memory: buddy trees over the Untypeds of the kept CNode. A node is an Untyped in a slot;
// splitting retypes it into two halves, merging revokes them. Guests' chunks are Used nodes: their Untyped
// stays here, a child of the full size goes to the supervisor, and revoking the node takes everything back
// that was ever made of it.
//
// Books first: reserve() and release() only change State::nodes and remember what is to be done. The caller
// commits the State to the journal, then calls carry_out(). Whatever was not carried out when dom0 died,
// recover() makes good: every subtree without a Used node is revoked at its top, and that frees and merges
// whatever there was below.
#pragma once

#include <expected>
#include <optional>

#include "lib/cap/syscall.hpp"
#include "toolstack/dom0/state.hpp"

namespace bulkhead::dom0 {

class Memory {
  public:
    static constexpr unsigned kMinBits = 21, kMaxBits = 47;

    // `cnode`: root slot of the kept CNode.
    Memory(std::uint32_t cnode, State& state) : cnode_{cnode}, state_{state} {}

    // The first dom0 of all: slots 1..count hold Untypeds, the machine's memory.
    void adopt(std::uint32_t count);
    void recover();

    // Chunks for a domain: one of 2^first_bits bytes, then `bytes` (rounded up to 2 MiB) in few powers of
    // two.
    std::optional<std::vector<std::uint32_t>> reserve(std::uint32_t domain, unsigned first_bits,
                                                      std::uint64_t bytes);
    // All its nodes, which the caller has revoked.
    void release(const std::vector<std::uint32_t>& chunks);
    cap::Status carry_out();
    void forget_plans() { to_split_.clear(), to_revoke_.clear(); }  // the books were set back

    // Nobody holds anything of these chunks any more, in whatever domain. Progress is kept if dom0 dies
    // meanwhile.
    void revoke(const std::vector<std::uint32_t>& chunks);

    cap::CapAddr address(std::uint32_t slot) const { return {cnode_, slot}; }
    std::uint64_t free_bytes() const;
    std::uint64_t total_bytes() const;

  private:
    std::optional<std::uint32_t> take(unsigned bits);
    std::optional<std::uint32_t> empty_slot(std::uint32_t after = 0) const;
    void drop_below(std::uint32_t slot);
    std::vector<bool> with_used_below() const;

    const std::uint32_t cnode_;
    State& state_;
    std::vector<std::uint32_t> to_split_, to_revoke_;  // in order
};

}  // namespace bulkhead::dom0
