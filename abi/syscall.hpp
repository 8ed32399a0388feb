// SPDX-License-Identifier: Apache-2.0
// System-call numbers, registers and argument encodings.
//
//   RAX                      number on entry (kSyscallBase + n, so negative), Status on return
//   RDI RSI RDX R10 R8 R9    arguments 0–5
//   RDX R10 R8 R9            results 0–3
//   R12 R13                  further arguments of the IPC calls (reply capability, deadline)
//   RCX R11                  destroyed by `syscall`
//
// All other registers keep their values. Any other RAX is not a kernel call: the thread continues at its
// registered upcall with all registers as `syscall` left them.
#pragma once

#include "abi/log_level.hpp"
#include "abi/types.hpp"

namespace bulkhead::abi {

inline constexpr int64_t kSyscallBase = -0x10000;

enum class Call : uint32_t {
    Null = 0,   // ()
    Yield = 1,  // ()

    // IPC. tag = MessageTag; words 0–3 in RDX R10 R8 R9, further ones and capabilities in the IPC buffer.
    IpcCall = 2,       // (endpoint, tag, w0..w3)                      -> RSI tag, w0..w3
    IpcReplyRecv = 3,  // (endpoint, tag, w0..w3; R12 reply, R13 deadline) -> RDI badge, RSI tag, w0..w3
    IpcRecv = 4,       // (endpoint; R12 reply, R13 deadline)          -> RDI badge, RSI tag, w0..w3
    IpcReply = 5,      // (-, tag, w0..w3; R12 reply)
    Signal = 6,        // (notification)
    Wait = 7,          // (notification, deadline)                     -> r0 bits (cleared)
    VcpuRun = 8,  // (vcpu, deadline)                             -> exit in the state page; r0 exit reason

    // Capabilities
    CapCopy = 16,  // (dst, src, rights)                           child of src
    CapMint = 17,  // (dst, src, rights, badge)                    Endpoint, Notification: badge; child of src
    CapMove = 18,  // (dst, src)                                   keeps its place in the tree
    CapDelete = 19,    // (slot)                                       children go to its parent
    CapRevoke = 20,    // (slot)                                       deletes all descendants; preemptible
    CapIdentify = 21,  // (slot)                                       -> r0 type | rights<<8 | size_bits<<16
                       // | mapped<<24, r1 badge, r2 object id
    Retype = 22,       // (untyped, type, size, dst, count)            `count` objects into consecutive slots;
                       // preemptible
    FrameMint =
        23,  // (dst, src, rights, offset, size_bits)        narrower range, naturally aligned; child of src
    IoPortMint = 24,   // (dst, src, first, count)                     narrower range; child of src
    UntypedInfo = 25,  // (untyped)                                    -> r0 size_bits, r1 free bytes, r2
                       // device?, r3 physical address (device Untyped only, else 0)

    // Address spaces
    TableMap =
        32,  // (root, table, address)                       puts a lower PageTable where `address` needs it
    FrameMap = 33,  // (root, frame, address, flags, count)         `count` consecutive slots of equal size to
                    // consecutive addresses -> r0 done (NoPageTable: r0 missing level, r1 done)
    Unmap = 34,     // (frame or table, count)                      -> r0 done

    // Threads and scheduling
    ThreadSet = 48,      // (thread, ThreadSlot, capability or 0)      0 clears
    ThreadStart = 49,    // (thread, rip, rsp, rdi, rsi, fs_base)      sets registers and makes it runnable
    ThreadSuspend = 50,  // (thread)                                   stops it, wherever it runs; a wait ends
                         // with Aborted when resumed
    ThreadResume = 51,   // (thread)
    ThreadRead =
        52,  // (thread)                                   registers -> caller's IPC buffer (ThreadRegisters)
    ThreadUpcall = 53,  // (thread, upcall_rip, fixup_start, fixup_end, fixup_landing)   0s: none
    ThreadExit = 54,    // (word_address)                             ends the caller: the kernel stores 0 to
                        // *word_address (u32, if not 0) and signals
    //                                            the notification in argument 1 (if not 0),
    //                                            then suspends it for good
    SchedConfigure = 55,  // (control, context, cpu, priority, weight, packed budget) see sched_budget
    SchedRead = 56,       // (context)                                  -> r0 consumed TSC ticks, r1 cpu |
                          // priority<<8 | weight<<16 | paused<<32
    SchedPause =
        57,  // (context, paused)                          no thread of a paused context runs; needs kWrite

    // Virtual CPUs
    VcpuSet = 64,  // (vcpu, VcpuSlot, capability or 0)

    // Interrupts, ports
    IrqClaim = 72,  // (control, gsi, IrqFlags, dst)                an IrqHandler; Busy when claimed
    IrqBind = 73,   // (handler, notification or 0)                 its badge is signalled
    IrqAck = 74,    // (handler)                                    unmask again
    PortIn = 75,    // (ioport, port, bytes)                        -> r0
    PortOut = 76,   // (ioport, port, bytes, value)

    // Accounting and log
    TagSet = 80,       // (control, capability, tag)                   CNode, Thread, SchedContext, Vcpu
    InspectCaps = 81,  // (inspect, cursor0, cursor1)                  -> r0 entries in the IPC buffer, r1 r2
                       // next cursor (0,0: end), r3 epoch
    InspectCounts = 82,  // (inspect)                                    -> IPC buffer: u64
                         // count[kObjectTypes], then u64 bytes of kernel memory in use per type
    LogWrite = 83,       // (log, bytes, LogLevel)                       text from the IPC buffer
    LogRead =
        84,  // (log, cursor)                                -> r0 bytes in the IPC buffer, r1 next cursor
    LogControl = 85,     // (log, LogFlags)
    DebugCounters = 86,  // (inspect, reset)                             -> r0 CR3 writes, r1 WRMSR, r2 IPIs,
                         // r3 TLB flushes since the last reset, this CPU
    MachineReset = 87,  // (ioport)                                     IoPort that covers 0xcf9, whose holder
                        // could reset the machine anyway
};
inline constexpr uint16_t kResetControlPort = 0xcf9;
inline constexpr uint32_t kCallLimit = 96;

// ---- IPC
// ----------------------------------------------------------------------------------------------------------
// tag: label in bits 63..16, capabilities in 15..8 (at most 4), words in 7..0 (at most kMessageWords).
inline constexpr unsigned kMessageWords = 64;
inline constexpr unsigned kRegisterWords = 4;
inline constexpr unsigned kMessageCaps = 4;

struct MessageTag {
    uint64_t raw = 0;
    constexpr MessageTag() = default;
    explicit constexpr MessageTag(uint64_t value) : raw{value} {}
    constexpr MessageTag(uint64_t label, unsigned words, unsigned caps)
        : raw{(label << 16) | (uint64_t{caps} << 8) | words} {}
    constexpr uint64_t label() const { return raw >> 16; }
    constexpr unsigned words() const { return static_cast<unsigned>(raw & 0xff); }
    constexpr unsigned caps() const { return static_cast<unsigned>((raw >> 8) & 0xff); }
};

// One page per thread, named by its IpcBuffer slot. words[0..3] travel in registers and are not touched.
// Sent: caps[] are addresses in the sender's CSpace; each is *copied* (a child of the sent one), or moved if
// its bit in `move` is set. Received: they land in receive_slots[], in order; `received` says how many did.
struct IpcBuffer {
    uint64_t words[kMessageWords];
    CapAddr caps[kMessageCaps];
    CapAddr receive_slots[kMessageCaps];
    uint64_t move;
    uint64_t received;
    uint8_t data[4096 - (kMessageWords + 2 * kMessageCaps + 2) *
                            8];  // LogWrite, LogRead, InspectCaps, ThreadRead, faults
};
static_assert(sizeof(IpcBuffer) == 4096);

// A fault is a call to the thread's fault endpoint. If that capability has rights::kControl, the faulting
// thread's registers are in the receiver's `data` besides. A reply with label kFaultResume continues the
// thread; with label kFaultResumeAt, at w0; with label kFaultResumeRegs, with the registers in the replier's
// `data`; any other leaves it suspended.
inline constexpr uint64_t kFaultLabel = 0xfa;  // w0 rip, w1 address (CR2) or 0, w2 error code, w3 vector
inline constexpr uint64_t kFaultResume = 0xfb;
inline constexpr uint64_t kFaultResumeRegs = 0xfc;
inline constexpr uint64_t kFaultResumeAt = 0xfd;

struct ThreadRegisters {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags, fs_base, gs_base;
    uint64_t fault_vector, fault_error, fault_address;
    uint64_t domain_tag;
};
static_assert(sizeof(ThreadRegisters) == 24 * 8);

// ---- slots inside objects
// -------------------------------------------------------------------------------------------
enum class ThreadSlot : uint8_t {
    CSpace = 0,
    VSpace = 1,
    IpcBuffer = 2,
    FaultEndpoint = 3,
    SchedContext = 4,
    BoundNotification = 5
};
inline constexpr unsigned kThreadSlots = 6;
enum class VcpuSlot : uint8_t { StatePage = 0, GuestRoot = 1, BoundNotification = 2 };
inline constexpr unsigned kVcpuSlots = 3;

// ---- retype
// -----------------------------------------------------------------------------------------------------------
// `size`: Untyped: size in bits, 12..47. Frame: 12..21 or 30; sizes between 4 KiB and 2 MiB are mapped as a
// naturally aligned run of 4 KiB entries of one leaf table, by one capability. CNode: log2 of slots (1..18).
// PageTable: kind | level << 8. Others: 0.
enum class TableKind : uint8_t { Host = 0, Guest = 1, Device = 2 };
constexpr uint64_t table_size_arg(TableKind kind, unsigned level) {
    return static_cast<uint64_t>(kind) | (uint64_t{level} << 8);
}  // level 4 is a root

// Flags of FrameMap
namespace map {
inline constexpr uint64_t kRead = 1, kWrite = 2,
                          kExecute = 4;  // W and X together are refused in host tables (W^X)
inline constexpr uint64_t kUncached = 1 << 3, kWriteCombining = 1 << 4;
}  // namespace map

// SchedConfigure: budget and period in microseconds; budget 0 is unlimited. A context serves any number of
// threads of one CPU: weight and budget are theirs together. A SchedControl's badge is the highest priority
// that it can set (0: no limit).
constexpr uint64_t sched_budget(uint32_t budget_us, uint32_t period_us) {
    return uint64_t{budget_us} | (uint64_t{period_us} << 32);
}
inline constexpr uint32_t kWeightDefault = 256;  // as Xen's credit scheduler; 1..65535

enum IrqFlags : uint32_t { kIrqEdge = 0, kIrqLevel = 1, kIrqLow = 2 };
enum LogFlags : uint32_t { kLogUartOff = 1, kLogUartOn = 2, kLogClear = 4 };
// The badge of a Log capability of a domain that serves a guest: guest_loglvl= decides, not loglvl=.
inline constexpr uint64_t kLogOfGuest = 1;

// ---- inspection
// ---------------------------------------------------------------------------------------------------------
struct CapEntry {
    uint64_t domain_tag;  // of the object that contains the slot
    uint64_t container;   // object id of the CNode, Thread, Vcpu or IrqHandler that contains the slot
    uint32_t slot;
    uint8_t type;
    uint8_t rights;
    uint8_t size_bits;  // Untyped, Frame; CNode: log2 slots; IoPort: 0
    uint8_t flags;  // bit 0 mapped, 1 device memory, 2 mapped writable, 3 mapped executable, 4 container is a
                    // CNode
    uint64_t badge;   // Endpoint, Notification; IoPort: first | count<<16; IrqHandler: gsi; PageTable: kind |
                      // level << 8
    uint64_t object;  // object id; equal ids are the same object. Frames, Untypeds: opaque number of the
                      // first page, below 2^53; numbers that overlap are the same memory
    uint64_t parent_container;  // where the parent capability lies (0, 0: a root)
    uint32_t parent_slot;
    uint32_t reserved;
    uint64_t
        mapped_in;  // mapped Frame, PageTable: object id of the PageTable that it is an entry of; 0: none
};
static_assert(sizeof(CapEntry) == 64);
inline constexpr unsigned kCapEntriesPerCall = 3400 / sizeof(CapEntry);

}  // namespace bulkhead::abi
