// SPDX-License-Identifier: Apache-2.0
// What the attacker and the root task that watches it share: one page.
#pragma once

#include "abi/syscall.hpp"

namespace bulkhead::attack {

inline constexpr unsigned kOwnSlots =
    32;  // the attacker's capabilities lie below this slot, its free slots above

// Slots of the attacker that holds one of each.
namespace slot {
inline constexpr uint32_t kCNode = 1, kVSpace = 2, kThread = 3, kSched = 4, kLog = 6, kKernelInfo = 7,
                          kUntyped = 8, kInnerCNode = 9, kFrame = 10, kTable1 = 11, kTable2 = 12,
                          kTable3 = 13, kGuestRoot = 14, kGuestTable = 15, kOtherThread = 16,
                          kOtherSched = 17, kEndpoint = 18, kReply = 19, kNotification = 20, kVcpu = 21,
                          kStatePage = 22, kIrq = 23, kPorts = 24, kLargeFrame = 25, kMintedEndpoint = 26;
}  // namespace slot

struct Control {
    uint64_t seed;
    uint64_t most;                 // tries in this life
    uint64_t tries;                // made so far
    uint64_t state_page;           // address of the vCPU's state page, 0: none
    uint64_t buffer;               // address of its IPC buffer
    uint64_t routine;              // side_attack, as it knows it
    uint32_t ok[abi::kCallLimit];  // calls that succeeded, by number
    uint32_t last[8];              // the last try: number, then the low halves of the arguments
};
static_assert(sizeof(Control) <= 4096);

// The whole attacker: a routine of the section side_code.
extern "C" void side_attack(Control* control);

}  // namespace bulkhead::attack
