// SPDX-License-Identifier: Apache-2.0
// Runs in a domain of its own, copied there with its section: so no tables, no calls out of the section, no
// library (test/attack/meson.build compiles it accordingly). Tries every system call with arguments that are
// random, adversarial, or nearly right.
#include "test/attack/attacker.hpp"

#include "abi/vcpu.hpp"
#include "lib/cap/raw_native.hpp"
#include "test/bench/stage.hpp"

#define INLINE [[gnu::always_inline]] inline

namespace bulkhead::attack {

namespace {

// xorshift64*: seeded, so that a failure can be repeated.
struct Random {
    uint64_t state;
    INLINE uint64_t next() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545'f491'4f6c'dd1d;
    }
    INLINE uint64_t below(uint64_t n) { return (next() >> 33) % n; }
};

INLINE uint64_t any_slot(Random& r) {
    switch (r.below(8)) {
        case 0: return abi::CapAddr{slot::kCNode, static_cast<uint32_t>(r.below(256))}.raw;
        case 1: return abi::CapAddr{slot::kInnerCNode, static_cast<uint32_t>(r.below(16))}.raw;
        case 2: return abi::CapAddr{static_cast<uint32_t>(r.next()), static_cast<uint32_t>(r.next())}.raw;
        case 3: return kOwnSlots + r.below(24);
        default: return r.below(kOwnSlots);
    }
}

INLINE uint64_t own_address(Random& r) {
    using stage::Side;
    uint64_t base = Side::kShared;
    switch (r.below(4)) {
        case 0: base = Side::kCode; break;
        case 1: base = Side::kStack; break;
        case 2: base = Side::kBuffer; break;
        default: break;
    }
    return base + r.below(64) * (abi::kPageSize / 4);
}

INLINE uint64_t any_value(Random& r) {
    switch (r.below(16)) {
        case 0: return r.next();
        case 1: return uint64_t{1} << r.below(64);
        case 2: return (uint64_t{1} << r.below(64)) - 1;
        case 3: return own_address(r);
        case 4: return 0xffff'8000'0000'0000 + (r.next() >> 24);
        case 5: return 0xffff'ffff'8000'0000 + r.below(1 << 24);
        case 6: return abi::kUserEnd + r.below(3) * 0x1000 - 0x1000 + r.below(17) - 8;
        case 7: return r.below(1 << 18) << abi::kPageBits;
        case 8: return (r.below(5) << 8) | r.below(3);
        case 9: return (r.below(64) << 32) | r.below(1 << 20);
        case 10: return ~uint64_t{0} - r.below(4);
        case 11: return r.below(70);
        case 12: return r.below(4);
        default: return any_slot(r);
    }
}

INLINE uint64_t deadline(Random& r) {
    switch (r.below(16)) {
        case 0: return r.next();
        case 1: return r.below(20) == 0 ? abi::kDeadlineNever : 1;
        default: return 0;
    }
}

// Arguments that have a chance, so that what is built deep is attacked as well.
INLINE void nearly_right(Random& r, const Control& control, uint32_t number, uint64_t* a) {
    switch (static_cast<abi::Call>(number)) {
        case abi::Call::Retype:
            a[0] = slot::kUntyped;
            a[1] = r.below(abi::kObjectTypes);
            a[2] = r.below(3) == 0 ? (r.below(5) << 8) | r.below(2) : r.below(23);
            a[3] = kOwnSlots + r.below(200);
            a[4] = 1 + r.below(3);
            break;
        case abi::Call::CapCopy:
        case abi::Call::CapMint:
        case abi::Call::FrameMint:
            a[0] = kOwnSlots + r.below(200);
            a[1] = number == static_cast<uint32_t>(abi::Call::FrameMint) && r.below(2) ? slot::kLargeFrame
                                                                                       : r.below(64);
            a[2] = r.next() & 0xff;
            a[3] = r.below(4) << abi::kPageBits;
            a[4] = 12 + r.below(10);
            break;
        case abi::Call::CapMove:
            a[0] = r.below(2) ? kOwnSlots + r.below(200)
                              : abi::CapAddr{slot::kInnerCNode, static_cast<uint32_t>(r.below(16))}.raw;
            a[1] = r.below(64);
            break;
        case abi::Call::TableMap:
        case abi::Call::FrameMap:
            a[0] = r.below(2) ? slot::kVSpace : slot::kGuestRoot;
            a[1] = r.below(2)                                             ? r.below(64)
                   : number == static_cast<uint32_t>(abi::Call::TableMap) ? slot::kTable1 + r.below(3)
                   : r.below(2)                                           ? slot::kFrame
                                                                          : slot::kStatePage;
            a[2] = r.below(2)
                       ? (r.below(4) << 39) | (r.below(4) << 30) | (r.below(4) << 21) | (r.below(8) << 12)
                       : stage::Side::kShared + (r.below(512) << 12);
            a[3] = r.below(32);
            a[4] = 1 + r.below(2);
            break;
        case abi::Call::ThreadSet:
        case abi::Call::VcpuSet:
            a[0] = number == static_cast<uint32_t>(abi::Call::VcpuSet) ? slot::kVcpu : slot::kOtherThread;
            a[1] = r.below(7);
            a[2] = r.below(64);
            break;
        case abi::Call::ThreadStart:
            a[0] = slot::kOtherThread;
            a[1] = r.below(4) ? control.routine : own_address(r);
            a[2] = stage::Side::kStack + 0x800;
            a[3] = reinterpret_cast<uint64_t>(&control);
            a[5] = r.below(4) ? 0 : any_value(r);
            break;
        case abi::Call::ThreadSuspend:
        case abi::Call::ThreadResume:
        case abi::Call::ThreadRead: a[0] = slot::kOtherThread; break;
        case abi::Call::IoPortMint:
            a[0] = kOwnSlots + r.below(200);
            a[1] = slot::kPorts;
            a[2] = 0x7e + r.below(8);
            a[3] = r.below(6);
            break;
        case abi::Call::PortIn:
        case abi::Call::PortOut:
            a[0] = slot::kPorts;
            a[1] = 0x7e + r.below(8);
            a[2] = r.below(6);
            break;
        case abi::Call::IrqBind:
        case abi::Call::IrqAck:
            a[0] = slot::kIrq;
            a[1] = slot::kNotification;
            break;
        case abi::Call::Signal:
        case abi::Call::Wait:
            a[0] = slot::kNotification;
            a[1] = deadline(r);
            break;
        case abi::Call::VcpuRun:
            a[0] = slot::kVcpu;
            a[1] = deadline(r);
            break;
        case abi::Call::IpcRecv:
        case abi::Call::IpcReplyRecv: a[0] = slot::kEndpoint; break;
        default: break;
    }
}

// A state that the CPU can enter, to be spoilt afterwards.
INLINE void guest_after_reset(volatile abi::VcpuState& s) {
    for (volatile abi::SegmentState* segment = &s.es; segment <= &s.idtr; ++segment) {
        segment->selector = 0;
        segment->attributes = 0x93;
        segment->limit = 0xffff;
        segment->base = 0;
    }
    s.cs.attributes = 0x9b;
    s.ldtr.attributes = 0x82;
    s.tr.attributes = 0x8b;
    s.cr0 = 0x10;
    s.cr3 = 0;
    s.cr4 = 0;
    s.efer = 0;
    s.inject = 0;
    s.pat = 0x0007'0406'0007'0406;
    s.rflags = 2;
    s.rip = 0;
    s.dr6 = 0xffff'0ff0;
    s.dr7 = 0x400;
    s.xcr0 = 1;
    s.flags = 0;
    s.want_window = 0;
    s.dirty = abi::VcpuState::kAllGroups;
    s.want = abi::VcpuState::kAllGroups;
}

// What the kernel will read: capabilities to send, slots to receive in, a guest's state.
INLINE void scribble(Random& r, Control& control) {
    auto& buffer = *reinterpret_cast<volatile abi::IpcBuffer*>(control.buffer);
    auto& words = *reinterpret_cast<volatile uint64_t(*)[512]>(control.buffer);
    words[r.below(sizeof(abi::IpcBuffer) / 8)] = any_value(r);
    const uint64_t i = r.below(abi::kMessageCaps);
    const_cast<uint64_t volatile&>(buffer.caps[i].raw) = any_slot(r);
    const_cast<uint64_t volatile&>(buffer.receive_slots[i].raw) = any_slot(r);
    buffer.move = r.next();
    if (control.state_page == 0) return;
    auto& state = *reinterpret_cast<volatile uint64_t(*)[512]>(control.state_page);
    if (r.below(16) == 0) guest_after_reset(*reinterpret_cast<volatile abi::VcpuState*>(control.state_page));
    for (uint64_t n = r.below(4); n != 0; --n) state[r.below(sizeof(abi::VcpuState) / 8)] = any_value(r);
}

}  // namespace

extern "C" [[gnu::section("side_code"), gnu::noinline]] void side_attack(Control* at) {
    Control& control = *at;
    Random r{control.seed * 0x9e37'79b9'7f4a'7c15 + 1};
    for (;;) {
        if (r.below(4) == 0) scribble(r, control);
        uint32_t number = static_cast<uint32_t>(r.below(abi::kCallLimit));
        if (number == static_cast<uint32_t>(abi::Call::ThreadExit) && r.below(16) != 0)
            continue;  // lives would be short
        cap::RawCall call{};
        for (unsigned i = 0; i < 6; ++i) call.a[i] = any_value(r);
        call.reply = r.below(2) ? slot::kReply : any_value(r);
        call.deadline = deadline(r);
        if (r.below(2)) nearly_right(r, control, number, call.a);
        call.number = static_cast<uint64_t>(abi::kSyscallBase + number);
        if (r.below(512) == 0) call.number = any_value(r), number = 0;
        control.last[0] = number;
        for (unsigned i = 0; i < 6; ++i) control.last[1 + i] = static_cast<uint32_t>(call.a[i]);
        cap::raw_ipc(call);
        if (call.number == 0) ++control.ok[number];
        ++control.tries;
        while (*static_cast<volatile uint64_t*>(&control.tries) >= control.most) asm volatile("pause");
    }
}

}  // namespace bulkhead::attack
