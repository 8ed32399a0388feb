// SPDX-License-Identifier: Apache-2.0
// All that dom0 must not forget when it dies: whose each piece of memory is, and which guests there are, in
// what phase of their life. One value; the journal keeps it whole. It is written *before* the capability
// operations that it announces, so that a new dom0 can undo what was not finished: see Memory and Guests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "toolstack/xl/domain_config.hpp"

namespace bulkhead::dom0 {

inline constexpr std::uint32_t kFirstGuest = 4;  // below are the services' tags
inline constexpr std::uint32_t kNoSlot = 0;

// One Untyped in the kept CNode, by its slot; a node of a buddy tree.
enum class Use : std::uint8_t { None, Free, Split, Used };
struct Node {
    Use use = Use::None;
    std::uint8_t bits = 0;
    std::uint32_t parent = kNoSlot;
    std::uint32_t child[2] = {};  // of a Split
    std::uint32_t domain = 0;     // of a Used
};

enum class Phase : std::uint8_t {
    Building,  // not finished: a new dom0 takes it apart
    Live,
    Dying,  // being destroyed: a new dom0 goes on with that
    Gone,   // its memory is free again; xenstore may still know it
};

struct DomainRecord {
    std::uint32_t id = 0;
    Phase phase = Phase::Building;
    bool restart = false;     // Building, Dying: a domain of this configuration shall run when all is done
    bool unpaused = false;    // it was let run once
    bool ended = false;       // shut down or crashed, and kept (on_…=preserve)
    std::uint8_t reason = 0;  // ShutdownReason, when ended
    std::uint64_t created_tsc = 0;
    std::vector<std::uint32_t> chunks;  // slots; the first holds the VMM's own objects
    xl::DomainConfig config;
};

struct State {
    std::uint32_t next_domain = kFirstGuest;
    std::vector<Node> nodes;  // index: slot
    std::vector<DomainRecord> domains;

    DomainRecord* find(std::uint32_t id);
    const DomainRecord* find(std::uint32_t id) const { return const_cast<State*>(this)->find(id); }

    std::vector<std::byte> encode() const;
    static std::optional<State> decode(std::span<const std::byte> bytes, std::size_t slots);
};

}  // namespace bulkhead::dom0
