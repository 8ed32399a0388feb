// SPDX-License-Identifier: Apache-2.0
// A region: the memory that one side of a channel writes and the other only reads. Both sides have one;
// together they are a channel.
//
//      0          Control line, 64 bytes, written by the region's owner alone
//      64         data: a ring of 64-bit words; what the owner sends
//
// Positions count words since the channel began, so they never wrap. An entry is a header word, then `words`
// words of one Cap'n Proto segment. An entry never wraps: what is left at the end of the ring is a padding
// entry.
//
//      63        32 31         0
//     +------------+------------+
//     |  kind      |  words     |
//     +------------+------------+
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bulkhead::ring {

inline constexpr uint32_t kVersion = 1;
inline constexpr uint64_t kMagic = 0x31474e4952484b42;  // "BKHRING1"

struct alignas(64) Control {
    std::atomic<uint64_t> magic;     // written last, when the region is ready
    std::atomic<uint64_t> tail;      // words that the owner has sent
    std::atomic<uint64_t> head;      // words that the owner has taken from the peer
    std::atomic<uint64_t> wake_at;   // ring me when your tail passes this position
    std::atomic<uint64_t> space_at;  // ring me when your head passes this position
    std::atomic<uint64_t> closed;    // CloseReason, 0 while open
    std::atomic<uint64_t> data_words;
    std::atomic<uint64_t> reserved;
};
static_assert(sizeof(Control) == 64 && std::atomic<uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<uint64_t>) == sizeof(uint64_t));

inline constexpr size_t kDataOffset = sizeof(Control);
enum class EntryKind : uint32_t { Message = 0x6d, Padding = 0x70 };

constexpr uint64_t entry_header(EntryKind kind, uint32_t words) {
    return (uint64_t{static_cast<uint32_t>(kind)} << 32) | words;
}

inline constexpr unsigned kMinRegionBits = 12, kMaxRegionBits = 21;

// Why a channel is closed. What the peer did wrong is the peer's fault alone; nobody else sees it.
enum class CloseReason : uint32_t {
    Open = 0,
    Requested = 1,   // by this side's program
    PeerClosed = 2,  // the peer said so
    PeerGone = 3,    // its region is not there any more
    BadRegion = 4,   // magic or size are not what was agreed
    BadIndex = 5,    // a position outside of what is possible
    BadEntry = 6,    // an entry's header is not one
    BadMessage = 7,  // Cap'n Proto refused it
    Refused = 8,     // the program refused what the message asked
};
const char* describe(CloseReason);

}  // namespace bulkhead::ring
