// SPDX-License-Identifier: Apache-2.0
// What a stub domain finds when it starts: fixed slots of its root CNode, and the StartInfo page, written by
// whoever loaded it (the kernel for the supervisor, the supervisor for all others), mapped read-only, its
// address in the auxiliary vector as AT_BULKHEAD. argv and envp are on the stack as on Linux.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::abi {

inline constexpr uint64_t kAtBulkhead = 0x42554c4b;          // auxv type
inline constexpr uint64_t kStartMagic = 0x3154524154534b42;  // "BKSTART1"

namespace start {  // slots of the root CNode, the same in every domain
inline constexpr uint32_t kCNode = 1, kVSpace = 2, kThread = 3, kSchedContext = 4, kIpcBuffer = 5, kLog = 6,
                          kKernelInfo = 7;
inline constexpr uint32_t kFirstNamed = 8;
}  // namespace start

struct SlotRange {
    uint32_t first, count;
};
struct AddressRange {
    uint64_t base, size;
};

struct NamedCap {
    char name[24];  // from the manifest: "uart-ports", "uart-irq", "connect-xenstore", "accept-xenstore",
                    // "spawn", …
    uint32_t slot;
    uint32_t type;        // ObjectType
    uint64_t value;       // IoPort: first | count << 16; connect: own badge; Frame: size in bytes
    AddressRange mapped;  // where it is mapped, if it is
};
static_assert(sizeof(NamedCap) == 56);

struct StartInfo {
    uint64_t magic;
    uint32_t version, caps;
    uint64_t domain_tag;
    char name[32];
    uint64_t kernel_info;              // address of KernelInfo
    uint64_t ipc_buffer;               // address of the main thread's IpcBuffer
    uint64_t upcall;                   // entry of the personality blob (informative)
    uint32_t cnode_bits, incarnation;  // incarnation: 0 at the first start, +1 at every restart

    // The personality's own: a second-level CNode for pages and threads, memory for the heap, address space.
    uint32_t runtime_cnode, runtime_cnode_bits;  // root slot of it; log2 of its slots
    SlotRange runtime_untyped;                   // root slots of Untypeds, largest first
    AddressRange runtime_window;

    // The program's own, for lib/cap: free slots of the root CNode, Untypeds, address space for its mappings.
    SlotRange free_slots;
    SlotRange untyped;
    AddressRange window;

    SlotRange sched_contexts;  // kSchedContext is not among them
    NamedCap cap[48];

    // The first writable pages of the program's image, 4 KiB each, in address order: slots of runtime_cnode
    // that hold their frames *and* their mappings, so that mprotect() can make relocated data read-only.
    // count 0: they stay as they were mapped.
    SlotRange image_frames;
    uint64_t image_frames_base;
};
static_assert(sizeof(StartInfo) <= 4096);

// Where the supervisor puts things (informative; programs use StartInfo)
inline constexpr uint64_t kImageBase = 0x0000'0010'0000'0000;
inline constexpr uint64_t kBlobBase = 0x0000'0020'0000'0000;
inline constexpr uint64_t kStackTop =
    0x0000'0030'0000'0000;  // main stack grows down from here, guard page below
inline constexpr uint64_t kStartPages =
    0x0000'0031'0000'0000;  // StartInfo, KernelInfo, IPC buffer of the main thread
inline constexpr uint64_t kRuntimeWindow = 0x0000'0100'0000'0000, kRuntimeWindowSize = 0x0000'0100'0000'0000;
inline constexpr uint64_t kProgramWindow = 0x0000'0200'0000'0000, kProgramWindowSize = 0x0000'1000'0000'0000;

// ---- connecting ------------------------------------------------------------------------------------------
// A service receives on its connect Endpoint ("accept-NAME", kRead); a client calls it ("connect-NAME",
// kWrite|kGrant, badge = its domain tag). Each side brings one *region*: a Frame that only it writes (control
// words and its outgoing data, see lib/ring) and that it grants read-only, a doorbell (a Notification
// capability with kWrite and a badge bit) and a tombstone (one with kTombstone alone and another bit: it
// signals its maker when the holder dies).
//   call:  label kConnect, w0 protocol version, w1 region size bits, w2 pool size bits or 0; caps: region,
//   doorbell, tombstone [, pool] reply: label kConnect, w0 0 or an error number (Status), w1 region size
//   bits;           caps: region, doorbell, tombstone
inline constexpr uint64_t kConnect = 0xc0;
// A client's badge is its domain tag; with this bit, it is that domain's channel in the role "control"
// (manifest: connects = "console:control"; its name is then "connect-console-control"): it may do what only
// dom0 may.
inline constexpr uint64_t kControlRole = uint64_t{1} << 32;

}  // namespace bulkhead::abi
