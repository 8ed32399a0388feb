// SPDX-License-Identifier: Apache-2.0
// What kernel and user level agree on: addresses of capabilities, object types, rights, status codes.
// Everything in abi/ has a fixed layout. The reference with one table per call is docs/abi.md.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace bulkhead::abi {

inline constexpr uint32_t kAbiVersion = 1;

// A capability address names one slot of the caller's CSpace, a tree of CNodes of depth two:
//
//      63            32 31             0
//     +----------------+----------------+
//     |  cnode         |  slot          |     cnode == 0: `slot` indexes the caller's root CNode
//     +----------------+----------------+     cnode != 0: root slot `cnode` holds a CNode capability, `slot`
//     indexes that
//
// Address 0 is the null capability: slot 0 of a root CNode is never used. To reach a slot of another domain's
// CNode, hold a capability to that CNode in one's own root CNode and name it in the upper half.
struct CapAddr {
    uint64_t raw = 0;

    constexpr CapAddr() = default;
    explicit constexpr CapAddr(uint64_t value) : raw{value} {}
    constexpr CapAddr(uint32_t cnode, uint32_t slot) : raw{(uint64_t{cnode} << 32) | slot} {}

    constexpr uint32_t cnode() const { return static_cast<uint32_t>(raw >> 32); }
    constexpr uint32_t slot() const { return static_cast<uint32_t>(raw); }
    constexpr bool is_null() const { return raw == 0; }
    constexpr CapAddr plus(uint32_t n) const { return CapAddr{raw + n}; }
    friend constexpr bool operator==(CapAddr, CapAddr) = default;
};
static_assert(sizeof(CapAddr) == 8);

enum class ObjectType : uint8_t {
    Null = 0,
    Untyped = 1,
    CNode = 2,
    Frame = 3,
    PageTable = 4,
    Thread = 5,
    SchedContext = 6,
    Endpoint = 7,
    Reply = 8,
    Notification = 9,
    Vcpu = 10,
    IrqHandler = 11,
    IoPort = 12,
    IoSpace = 13,       // reserved: comes with the IOMMU
    IrqControl = 14,    // claims an IrqHandler for any interrupt; held by the supervisor alone
    SchedControl = 15,  // sets CPU, priority, weight and budget of a SchedContext
    TagControl = 16,    // sets domain tags
    Inspect = 17,
    Log = 18,
};
inline constexpr unsigned kObjectTypes = 19;

// Rights are a set of bits whose meaning depends on the type. A copy can only have fewer.
namespace rights {
inline constexpr uint8_t kRead = 1 << 0;   // Frame: readable mapping. Endpoint, Notification: receive, wait.
                                           // Log: read. SchedContext: bind threads, read consumption
inline constexpr uint8_t kWrite = 1 << 1;  // Frame: writable mapping. Endpoint: call. Notification: signal.
                                           // Log: append. SchedContext: configure
inline constexpr uint8_t kExecute = 1 << 2;  // Frame: executable mapping
inline constexpr uint8_t kGrant =
    1 << 3;  // Endpoint: capabilities may be transferred with a call or a reply through it
inline constexpr uint8_t kControl =
    1 << 4;  // Thread, Vcpu, CNode: everything else that the type offers. Log: UART control, clear.
             // Endpoint: a fault through it brings all registers
inline constexpr uint8_t kTombstone =
    1 << 5;  // Notification: when this copy is destroyed, its badge is signalled
inline constexpr uint8_t kDerive = 1 << 6;  // may be copied and minted (moving is always allowed)
inline constexpr uint8_t kAll = 0x5f;  // everything but kTombstone, which is only ever asked for explicitly
}  // namespace rights

enum class Status : uint32_t {
    Ok = 0,
    NoSuchCall = 1,      // the number is not a system call
    NoCapability = 2,    // the address names no slot, or an empty one
    WrongType = 3,       // the capability is of another type
    NoRights = 4,        // the capability lacks a right that the call needs
    SlotOccupied = 5,    // the destination slot is not empty
    BadArgument = 6,     // a number is out of range, unaligned or not canonical
    OutOfMemory = 7,     // the Untyped has too little room left
    HasChildren = 8,     // retype over, or delete of, something that still has children
    Revoking = 9,        // an ancestor is being revoked
    AlreadyMapped = 10,  // this capability copy, or the place, is mapped already
    NotMapped = 11,
    NoPageTable = 12,  // a level of the page table is missing; result 0 is the missing level
    Timeout = 13,      // the deadline passed
    Notified = 14,     // vcpu_run, receive: the bound notification was signalled; result 0 holds its bits
    PeerGone = 15,     // the Reply or the Endpoint was destroyed while waiting
    WrongCpu = 16,     // the active server is on another CPU
    Busy = 17,         // the object is in use in a way that excludes this
    NotReady = 18,     // an object misses a part (a Thread without VSpace, a Vcpu without state page, …)
    Unsupported = 19,  // the hardware lacks it
    Aborted = 20,      // a wait was ended by suspend
    Restart = 21,      // internal: the call made progress and is restarted; never seen by user level
    Truncated = 22,    // the answer did not fit; what fits was delivered
    VcpuInvalid =
        23,  // vcpu_run: what the VMM wrote is not a state that the CPU can enter; result 0 names the field
};

// Blocking calls take an absolute TSC value. An event that is there beats a timeout.
inline constexpr uint64_t kDeadlinePoll = 0;
inline constexpr uint64_t kDeadlineNever = ~uint64_t{0};

inline constexpr uint64_t kPageBits = 12;
inline constexpr uint64_t kPageSize = 1ull << kPageBits;
inline constexpr uint64_t kLargePageBits = 21;
inline constexpr uint64_t kHugePageBits = 30;

// User space ends one page below the canonical hole (a `syscall` in the last bytes would return to a
// non-canonical RIP).
inline constexpr uint64_t kUserEnd = 0x0000'7fff'ffff'f000;

// The root task's domain tag; Xen's DOMID_XEN, which no domain has.
inline constexpr uint64_t kRootTag = 0x7ff2;

inline constexpr unsigned kMaxCpus = 64;
inline constexpr unsigned kPriorities = 64;  // 0 lowest, 63 highest

}  // namespace bulkhead::abi
