// SPDX-License-Identifier: Apache-2.0
// Every system call as an inline function: a thin, typed view of abi/syscall.hpp. Usable from freestanding
// code (no library, no allocation) and from programs. On the host (BULKHEAD_FAKE_KERNEL) calls go to a
// FakeKernel.
//
// All functions are thread-safe. Errors are Status values; what a call returns besides is in Result.
#pragma once

#include "abi/syscall.hpp"
#include "abi/types.hpp"
#include "abi/vcpu.hpp"

#ifdef BULKHEAD_FAKE_KERNEL
#include "lib/cap/raw_fake.hpp"
#else
#include "lib/cap/raw_native.hpp"
#endif

namespace bulkhead::cap {

using abi::CapAddr;
using abi::MessageTag;
using abi::ObjectType;
using abi::Status;

struct [[nodiscard]] Result {
    Status status;
    uint64_t r0, r1, r2, r3;
    constexpr bool ok() const { return status == Status::Ok; }
};

// Of the IPC calls. On Notified, w[0] holds the bits of the bound notification.
struct [[nodiscard]] IpcResult {
    Status status;
    uint64_t badge;
    MessageTag tag;
    uint64_t w[abi::kRegisterWords];
    constexpr bool ok() const { return status == Status::Ok; }
};

struct Message {
    MessageTag tag;
    uint64_t w[abi::kRegisterWords] = {};
};

// A call that is not made for its side effect on the caller may be ignored: `drop(sys::cap_delete(x))` says
// so.
inline void drop(const Result&) {}
inline void drop(Status) {}

namespace sys {

constexpr uint64_t number(abi::Call call) {
    return static_cast<uint64_t>(abi::kSyscallBase + static_cast<int64_t>(call));
}

[[gnu::always_inline]] inline Result call(abi::Call n, uint64_t a0 = 0, uint64_t a1 = 0, uint64_t a2 = 0,
                                          uint64_t a3 = 0, uint64_t a4 = 0, uint64_t a5 = 0) {
    RawCall c{number(n), {a0, a1, a2, a3, a4, a5}, 0, 0};
    raw_call(c);
    return {static_cast<Status>(c.number), c.a[2], c.a[3], c.a[4], c.a[5]};
}

[[gnu::always_inline]] inline IpcResult ipc(abi::Call n, CapAddr endpoint, const Message& m, CapAddr reply,
                                            uint64_t deadline) {
    RawCall c{number(n), {endpoint.raw, m.tag.raw, m.w[0], m.w[1], m.w[2], m.w[3]}, reply.raw, deadline};
    raw_ipc(c);
    return {static_cast<Status>(c.number), c.a[0], MessageTag{c.a[1]}, {c.a[2], c.a[3], c.a[4], c.a[5]}};
}

inline Status null_call() {
    return call(abi::Call::Null).status;
}
inline Status yield() {
    return call(abi::Call::Yield).status;
}

// ---- IPC. Further words and capabilities are in ipc_buffer().
[[gnu::always_inline]] inline IpcResult ipc_call(CapAddr endpoint, const Message& m) {
    RawCall c{number(abi::Call::IpcCall), {endpoint.raw, m.tag.raw, m.w[0], m.w[1], m.w[2], m.w[3]}, 0, 0};
    raw_call(c);
    return {static_cast<Status>(c.number), c.a[0], MessageTag{c.a[1]}, {c.a[2], c.a[3], c.a[4], c.a[5]}};
}
inline IpcResult ipc_recv(CapAddr endpoint, CapAddr reply, uint64_t deadline) {
    return ipc(abi::Call::IpcRecv, endpoint, Message{}, reply, deadline);
}
inline IpcResult ipc_reply_recv(CapAddr endpoint, const Message& m, CapAddr reply, uint64_t deadline) {
    return ipc(abi::Call::IpcReplyRecv, endpoint, m, reply, deadline);
}
inline Status ipc_reply(CapAddr reply, const Message& m) {
    return ipc(abi::Call::IpcReply, CapAddr{}, m, reply, 0).status;
}
inline Status signal(CapAddr notification) {
    return call(abi::Call::Signal, notification.raw).status;
}
inline Result wait(CapAddr notification, uint64_t deadline) {
    return call(abi::Call::Wait, notification.raw, deadline);
}
inline Result vcpu_run(CapAddr vcpu, uint64_t deadline) {
    return call(abi::Call::VcpuRun, vcpu.raw, deadline);
}

// ---- capabilities
inline Status cap_copy(CapAddr dst, CapAddr src, uint8_t rights) {
    return call(abi::Call::CapCopy, dst.raw, src.raw, rights).status;
}
inline Status cap_mint(CapAddr dst, CapAddr src, uint8_t rights, uint64_t badge) {
    return call(abi::Call::CapMint, dst.raw, src.raw, rights, badge).status;
}
inline Status cap_move(CapAddr dst, CapAddr src) {
    return call(abi::Call::CapMove, dst.raw, src.raw).status;
}
inline Status cap_delete(CapAddr slot) {
    return call(abi::Call::CapDelete, slot.raw).status;
}
inline Status cap_revoke(CapAddr slot) {
    return call(abi::Call::CapRevoke, slot.raw).status;
}

struct [[nodiscard]] Identity {
    Status status;
    ObjectType type;
    uint8_t rights, size_bits;
    bool mapped;
    uint64_t badge, object;
    constexpr bool ok() const { return status == Status::Ok; }
};
inline Identity cap_identify(CapAddr slot) {
    const Result r = call(abi::Call::CapIdentify, slot.raw);
    return {r.status,
            static_cast<ObjectType>(r.r0 & 0xff),
            static_cast<uint8_t>((r.r0 >> 8) & 0xff),
            static_cast<uint8_t>((r.r0 >> 16) & 0xff),
            ((r.r0 >> 24) & 1) != 0,
            r.r1,
            r.r2};
}
inline Status retype(CapAddr untyped, ObjectType type, uint64_t size, CapAddr dst, uint64_t count = 1) {
    return call(abi::Call::Retype, untyped.raw, static_cast<uint64_t>(type), size, dst.raw, count).status;
}
inline Status frame_mint(CapAddr dst, CapAddr src, uint8_t rights, uint64_t offset, unsigned size_bits) {
    return call(abi::Call::FrameMint, dst.raw, src.raw, rights, offset, size_bits).status;
}
inline Status ioport_mint(CapAddr dst, CapAddr src, uint16_t first, uint32_t count) {
    return call(abi::Call::IoPortMint, dst.raw, src.raw, first, count).status;
}

struct [[nodiscard]] UntypedState {
    Status status;
    unsigned size_bits;
    uint64_t free_bytes;
    bool device;
    uint64_t physical;
    constexpr bool ok() const { return status == Status::Ok; }
};
inline UntypedState untyped_info(CapAddr untyped) {
    const Result r = call(abi::Call::UntypedInfo, untyped.raw);
    return {r.status, static_cast<unsigned>(r.r0), r.r1, r.r2 != 0, r.r3};
}

// ---- address spaces
inline Status table_map(CapAddr root, CapAddr table, uint64_t address) {
    return call(abi::Call::TableMap, root.raw, table.raw, address).status;
}
inline Result frame_map(CapAddr root, CapAddr frame, uint64_t address, uint64_t flags, uint64_t count = 1) {
    return call(abi::Call::FrameMap, root.raw, frame.raw, address, flags, count);
}
inline Result unmap(CapAddr frame_or_table, uint64_t count = 1) {
    return call(abi::Call::Unmap, frame_or_table.raw, count);
}

// ---- threads and scheduling
inline Status thread_set(CapAddr thread, abi::ThreadSlot slot, CapAddr what) {
    return call(abi::Call::ThreadSet, thread.raw, static_cast<uint64_t>(slot), what.raw).status;
}
inline Status thread_start(CapAddr thread, uint64_t rip, uint64_t rsp, uint64_t rdi, uint64_t rsi,
                           uint64_t fs_base) {
    return call(abi::Call::ThreadStart, thread.raw, rip, rsp, rdi, rsi, fs_base).status;
}
inline Status thread_suspend(CapAddr thread) {
    return call(abi::Call::ThreadSuspend, thread.raw).status;
}
inline Status thread_resume(CapAddr thread) {
    return call(abi::Call::ThreadResume, thread.raw).status;
}
inline Status thread_read(CapAddr thread) {
    return call(abi::Call::ThreadRead, thread.raw).status;
}
inline Status thread_upcall(CapAddr thread, uint64_t rip, uint64_t fixup_start, uint64_t fixup_end,
                            uint64_t landing) {
    return call(abi::Call::ThreadUpcall, thread.raw, rip, fixup_start, fixup_end, landing).status;
}
inline Status thread_exit(uint64_t word_address, CapAddr notification) {
    return call(abi::Call::ThreadExit, word_address, notification.raw).status;
}
inline Status sched_configure(CapAddr control, CapAddr context, uint32_t cpu, uint32_t priority,
                              uint32_t weight, uint64_t budget) {
    return call(abi::Call::SchedConfigure, control.raw, context.raw, cpu, priority, weight, budget).status;
}
inline Result sched_read(CapAddr context) {
    return call(abi::Call::SchedRead, context.raw);
}
inline Status sched_pause(CapAddr context, bool paused) {
    return call(abi::Call::SchedPause, context.raw, paused).status;
}

// ---- vCPUs, interrupts, ports
inline Status vcpu_set(CapAddr vcpu, abi::VcpuSlot slot, CapAddr what) {
    return call(abi::Call::VcpuSet, vcpu.raw, static_cast<uint64_t>(slot), what.raw).status;
}
inline Status irq_claim(CapAddr control, uint32_t gsi, uint32_t flags, CapAddr dst) {
    return call(abi::Call::IrqClaim, control.raw, gsi, flags, dst.raw).status;
}
inline Status irq_bind(CapAddr handler, CapAddr notification) {
    return call(abi::Call::IrqBind, handler.raw, notification.raw).status;
}
inline Status irq_ack(CapAddr handler) {
    return call(abi::Call::IrqAck, handler.raw).status;
}
inline Result port_in(CapAddr ports, uint16_t port, unsigned bytes) {
    return call(abi::Call::PortIn, ports.raw, port, bytes);
}
inline Status port_out(CapAddr ports, uint16_t port, unsigned bytes, uint64_t value) {
    return call(abi::Call::PortOut, ports.raw, port, bytes, value).status;
}

// ---- accounting and log
inline Status tag_set(CapAddr control, CapAddr object, uint64_t tag) {
    return call(abi::Call::TagSet, control.raw, object.raw, tag).status;
}
inline Result inspect_caps(CapAddr inspect, uint64_t cursor0, uint64_t cursor1) {
    return call(abi::Call::InspectCaps, inspect.raw, cursor0, cursor1);
}
inline Status inspect_counts(CapAddr inspect) {
    return call(abi::Call::InspectCounts, inspect.raw).status;
}
inline Status log_write(CapAddr log, uint64_t bytes, abi::LogLevel level) {
    return call(abi::Call::LogWrite, log.raw, bytes, static_cast<uint64_t>(level)).status;
}
inline Result log_read(CapAddr log, uint64_t cursor) {
    return call(abi::Call::LogRead, log.raw, cursor);
}
inline Status log_control(CapAddr log, uint32_t flags) {
    return call(abi::Call::LogControl, log.raw, flags).status;
}
// Does not return if the IoPort covers abi::kResetControlPort.
inline Status machine_reset(CapAddr ioport) {
    return call(abi::Call::MachineReset, ioport.raw).status;
}
inline Result debug_counters(CapAddr inspect, bool reset) {
    return call(abi::Call::DebugCounters, inspect.raw, reset);
}

}  // namespace sys

// "the capability lacks a right": for messages that people see.
constexpr const char* describe(Status status) {
    switch (status) {
        case Status::Ok: return "no error";
        case Status::NoSuchCall: return "no such system call";
        case Status::NoCapability: return "no capability at this address";
        case Status::WrongType: return "the capability is of another type";
        case Status::NoRights: return "the capability lacks a right";
        case Status::SlotOccupied: return "the destination slot is occupied";
        case Status::BadArgument: return "an argument is out of range";
        case Status::OutOfMemory: return "the memory is used up";
        case Status::HasChildren: return "something is still derived from it";
        case Status::Revoking: return "it is being revoked";
        case Status::AlreadyMapped: return "it is mapped already";
        case Status::NotMapped: return "it is not mapped";
        case Status::NoPageTable: return "a page table is missing";
        case Status::Timeout: return "the deadline passed";
        case Status::Notified: return "a notification came first";
        case Status::PeerGone: return "the other side is gone";
        case Status::WrongCpu: return "the server is on another CPU";
        case Status::Busy: return "it is in use";
        case Status::NotReady: return "it lacks a part";
        case Status::Unsupported: return "the hardware does not support it";
        case Status::Aborted: return "the wait was ended";
        case Status::Restart: return "the call restarts";
        case Status::Truncated: return "the answer did not fit";
        case Status::VcpuInvalid: return "the CPU cannot enter this guest state";
    }
    return "unknown status";
}

}  // namespace bulkhead::cap
