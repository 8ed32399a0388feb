// SPDX-License-Identifier: Apache-2.0
// The small vocabulary of the service: identities, status values, rights and quotas.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::xenstore {

enum class DomId : std::uint16_t {};
constexpr std::uint16_t raw(DomId id) {
    return static_cast<std::uint16_t>(id);
}

// The badge of a client's channel. It names the client across restarts of this service.
enum class SessionKey : std::uint64_t {};

// Transaction id as on the wire; 0 is "no transaction".
enum class TxId : std::uint32_t {};
inline constexpr TxId kNoTransaction{0};

// The errors that the protocol knows, by the names that go over the wire.
enum class [[nodiscard]] Status : std::uint8_t{ok,     einval, eacces, eexist, enoent, enospc,
                                               enosys, ebusy,  eagain, e2big,  eperm,  kCount};
const char* wire_name(Status status);

// What a session may do beyond its nodes' permissions. Handed over when the channel is made, from the
// manifest; nothing in this service looks at a domain id to decide it.
struct Rights {
    bool all_nodes = false;       // reads and writes every node; nodes that it creates inherit their owner
    bool unlimited = false;       // exempt from the quotas (never from the size of the arenas)
    bool manage_domains = false;  // INTRODUCE, RELEASE, RESUME, SET_TARGET, special watches
    bool control = false;         // CONTROL

    static constexpr Rights guest() { return {}; }
    static constexpr Rights toolstack() { return {true, true, true, true}; }
};

// Xen's default limits per domain, and the byte budgets that make them a bound on memory.
struct Quota {
    std::uint32_t nodes = 1000;
    std::uint32_t watches = 128;
    std::uint32_t value_bytes = 2048;
    std::uint32_t transactions = 10;
    std::uint32_t transaction_nodes = 1024;
    std::uint32_t permissions = 5;
    std::uint32_t outstanding = 20;                // requests in flight; kept by the VMM, which stops reading
    std::uint32_t stored_bytes = 256 * 1024;       // nodes and watches of a domain, as stored in the arena
    std::uint32_t transaction_bytes = 256 * 1024;  // all open transactions of a domain
    std::uint32_t queued_events = 256;             // per session; beyond it events collapse per watch
    std::uint32_t queued_bytes = 64 * 1024;
};

}  // namespace bulkhead::xenstore
