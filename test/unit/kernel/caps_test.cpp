// SPDX-License-Identifier: Apache-2.0
// Capability calls: success, wrong type, wrong rights, revoked, exhausted.
#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "kernel/core/log.hpp"
#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::ObjectType;
using abi::Status;
using fake::Machine;
namespace rights = abi::rights;

TEST_CASE("The root task finds what bootinfo.hpp promises") {
    Machine m;
    CHECK(m.slot(abi::root::kCNode).type == ObjectType::CNode);
    CHECK(m.slot(abi::root::kVSpace).type == ObjectType::PageTable);
    CHECK(m.slot(abi::root::kThread).type == ObjectType::Thread);
    CHECK(m.slot(abi::root::kIpcBuffer).type == ObjectType::Frame);
    CHECK(m.slot(abi::root::kIoPorts).type == ObjectType::IoPort);
    CHECK(m.slot(abi::root::kInspect).type == ObjectType::Inspect);
    CHECK(m.root().running_on() == &m.cpu[0]);
    CHECK(m.call(Call::Null).status == Status::Ok);
    CHECK(m.call(static_cast<Call>(9)).status == Status::NoSuchCall);
    CHECK(m.call(static_cast<Call>(5000)).status == Status::NoSuchCall);
    const auto info = m.call(Call::UntypedInfo, m.big_untyped());
    CHECK(info.status == Status::Ok);
    CHECK(info.r1 == uint64_t{1} << info.r0);
    CHECK(info.r3 == 0);  // physical addresses of RAM are nobody's business
}

TEST_CASE("A system call that is not the kernel's goes to the upcall with all registers as they were") {
    Machine m;
    core::Thread& t = m.root();
    CHECK(m.call(Call::ThreadUpcall, abi::root::kThread, 0x5000, 0x100, 0x200, 0x300).status == Status::Ok);
    t.user.rax = 60;
    t.user.rdi = 7;
    t.user.rip = 0x1234;
    t.user.rflags = 0x246;
    core::handle_syscall(m.cpu[0]);
    CHECK(t.user.rax == 60);
    CHECK(t.user.rdi == 7);
    CHECK(t.user.rip == 0x5000);
    CHECK(t.user.rcx == 0x1234);
    CHECK(t.user.r11 == 0x246);
    CHECK(t.user.by_syscall == 0);
}

TEST_CASE("Copies have fewer rights, are children, and lookups name what is wrong") {
    Machine m;
    const uint64_t e = m.make(ObjectType::Endpoint), a = m.free_slot(), b = m.free_slot(), c = m.free_slot();
    CHECK(m.call(Call::CapCopy, a, e, rights::kRead | rights::kDerive).status == Status::Ok);
    CHECK(m.slot(a).parent == &m.slot(e));
    CHECK(m.slot(a).rights == (rights::kRead | rights::kDerive));
    CHECK(m.call(Call::CapCopy, b, a, rights::kAll).status == Status::Ok);
    CHECK(m.slot(b).rights == (rights::kRead | rights::kDerive));
    CHECK(m.call(Call::CapCopy, b, e, rights::kAll).status == Status::SlotOccupied);
    CHECK(m.call(Call::CapCopy, c, m.free_slot(), rights::kAll).status == Status::NoCapability);
    CHECK(m.call(Call::CapCopy, 0, e, rights::kAll).status == Status::NoCapability);
    CHECK(m.call(Call::CapCopy, uint64_t{1} << 20, e, rights::kAll).status == Status::NoCapability);
    CHECK(m.call(Call::CapCopy, c, m.big_untyped(), rights::kAll).status == Status::WrongType);
    CHECK(m.call(Call::CapCopy, c, e, rights::kRead).status == Status::Ok);
    CHECK(m.call(Call::CapCopy, m.free_slot(), c, rights::kAll).status == Status::NoRights);  // no kDerive
    CHECK(m.call(Call::IpcCall, a).status == Status::NoRights);
    CHECK(m.call(Call::IpcCall, abi::root::kCNode).status == Status::WrongType);
    CHECK(m.call(Call::IpcCall, 0).status == Status::NoCapability);
}

TEST_CASE("A badge is set once; a tombstone right only for those who can signal") {
    Machine m;
    const uint64_t n = m.make(ObjectType::Notification), a = m.free_slot(), b = m.free_slot(),
                   c = m.free_slot(), d = m.free_slot();
    CHECK(m.call(Call::CapMint, a, n, rights::kAll, 5).status == Status::Ok);
    CHECK(m.slot(a).badge == 5);
    CHECK(m.call(Call::CapMint, b, a, rights::kAll, 6).status == Status::NoRights);
    CHECK(m.call(Call::CapMint, b, a, rights::kAll | rights::kTombstone, 0).status == Status::Ok);
    CHECK(m.slot(b).badge == 5);
    CHECK((m.slot(b).rights & rights::kTombstone) != 0);
    CHECK(m.call(Call::CapCopy, c, a, rights::kRead | rights::kDerive).status == Status::Ok);
    CHECK(m.call(Call::CapCopy, d, c, rights::kAll | rights::kTombstone).status == Status::Ok);
    CHECK((m.slot(d).rights & rights::kTombstone) == 0);
    CHECK(m.call(Call::CapMint, m.free_slot(), abi::root::kCNode, rights::kAll, 1).status ==
          Status::WrongType);
    CHECK(m.call(Call::CapDelete, b).status == Status::Ok);  // the tombstone
    const auto w = m.call(Call::Wait, n, abi::kDeadlinePoll);
    CHECK(w.status == Status::Ok);
    CHECK(w.r0 == 5);
    CHECK(m.call(Call::Wait, n, abi::kDeadlinePoll).status == Status::Timeout);
}

TEST_CASE("Move keeps the place in the tree, also of its children") {
    Machine m;
    const uint64_t e = m.make(ObjectType::Endpoint), a = m.free_slot(), b = m.free_slot();
    REQUIRE(m.call(Call::CapCopy, a, e, rights::kAll).status == Status::Ok);
    REQUIRE(m.call(Call::CapMove, b, e).status == Status::Ok);
    CHECK(m.slot(e).empty());
    CHECK(m.slot(a).parent == &m.slot(b));
    CHECK(m.slot(b).first_child == &m.slot(a));
    CHECK(m.slot(b).parent == &m.slot(m.big_untyped()));
    CHECK(m.call(Call::CapMove, b, a).status == Status::SlotOccupied);
    CHECK(m.call(Call::CapMove, m.free_slot(), e).status == Status::NoCapability);
}

TEST_CASE("Delete hands children to the parent; revoke deletes all of them") {
    Machine m;
    const uint64_t e = m.make(ObjectType::Endpoint), a = m.free_slot(), b = m.free_slot(), c = m.free_slot();
    REQUIRE(m.call(Call::CapCopy, a, e, rights::kAll).status == Status::Ok);
    REQUIRE(m.call(Call::CapCopy, b, a, rights::kAll).status == Status::Ok);
    REQUIRE(m.call(Call::CapCopy, c, b, rights::kAll).status == Status::Ok);
    CHECK(m.call(Call::CapDelete, a).status == Status::Ok);
    CHECK(m.slot(b).parent == &m.slot(e));
    const auto endpoints = core::sys.count[static_cast<size_t>(ObjectType::Endpoint)];
    CHECK(m.call(Call::CapRevoke, e).status == Status::Ok);
    CHECK(m.slot(b).empty());
    CHECK(m.slot(c).empty());
    CHECK(!m.slot(e).empty());
    CHECK(core::sys.count[static_cast<size_t>(ObjectType::Endpoint)] == endpoints);
    CHECK(m.call(Call::CapDelete, e).status == Status::Ok);
    CHECK(core::sys.count[static_cast<size_t>(ObjectType::Endpoint)] == endpoints - 1);
    CHECK(m.call(Call::CapDelete, e).status == Status::NoCapability);
    CHECK(m.call(Call::CapRevoke, e).status == Status::NoCapability);
}

TEST_CASE("Retype: sizes, room, slots, device memory, reset when the last child is gone") {
    Machine m;
    const uint64_t u = m.make(ObjectType::Untyped, 16), to = 12000;
    const auto retype = [&](uint64_t from, ObjectType type, uint64_t size, uint64_t count) {
        return m.call(Call::Retype, from, static_cast<uint64_t>(type), size, to, count).status;
    };
    CHECK(retype(u, ObjectType::Frame, 12, 17) == Status::OutOfMemory);
    CHECK(retype(u, ObjectType::Frame, 11, 1) == Status::BadArgument);
    CHECK(retype(u, ObjectType::Frame, 25, 1) == Status::BadArgument);
    CHECK(retype(u, ObjectType::CNode, 19, 1) == Status::BadArgument);
    CHECK(retype(u, ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Device, 1), 1) ==
          Status::Unsupported);
    CHECK(retype(u, ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, 5), 1) ==
          Status::BadArgument);
    CHECK(retype(u, ObjectType::Log, 0, 1) == Status::BadArgument);
    CHECK(retype(u, static_cast<ObjectType>(200), 0, 1) == Status::BadArgument);
    CHECK(retype(u, ObjectType::Frame, 12, 0) == Status::BadArgument);
    CHECK(retype(abi::root::kCNode, ObjectType::Frame, 12, 1) == Status::WrongType);
    CHECK(retype(u, ObjectType::Frame, 12, 16) == Status::Ok);
    CHECK(retype(u, ObjectType::Frame, 12, 1) == Status::OutOfMemory);
    CHECK(m.call(Call::Retype, u, static_cast<uint64_t>(ObjectType::Frame), 12, to + 3, 1).status ==
          Status::OutOfMemory);
    for (uint64_t i = 0; i < 16; ++i) CHECK(m.call(Call::CapDelete, to + i).status == Status::Ok);
    CHECK(m.call(Call::UntypedInfo, u).r1 == 65536);
    CHECK(retype(u, ObjectType::Endpoint, 0, 1) == Status::Ok);
    CHECK(retype(u, ObjectType::Endpoint, 0, 1) == Status::SlotOccupied);
    CHECK(m.call(Call::CapRevoke, u).status == Status::Ok);
    CHECK(m.slot(to).empty());
    CHECK(m.call(Call::UntypedInfo, u).r1 == 65536);
    const uint64_t module = abi::root::kFirstUntyped;  // the first one is the module's: device memory
    CHECK(m.slot(module).device());
    CHECK(retype(module, ObjectType::Endpoint, 0, 1) == Status::BadArgument);
    CHECK(retype(module, ObjectType::Frame, 12, 1) == Status::Ok);
    CHECK(m.slot(to).device());
    CHECK(m.call(Call::UntypedInfo, module).r3 == 0x10000);
}

TEST_CASE(
    "Memory is zero when it becomes a frame, however often it was something else, also when preempted") {
    Machine m;
    const uint64_t u = m.make(ObjectType::Untyped, 16), to = 12000;
    for (unsigned round = 0; round < 3; ++round) {
        fake::state.preempt_every = round;  // never, always, every second time
        const auto o = m.call(Call::Retype, u, static_cast<uint64_t>(ObjectType::Frame), 14, to, 4);
        REQUIRE(o.status == Status::Ok);
        if (round != 0) CHECK(o.restarts > 3);
        for (uint64_t i = 0; i < 4; ++i) {
            char* p = static_cast<char*>(arch::phys_to_virt(PhysAddr{m.slot(to + i).object}));
            for (unsigned k = 0; k < 16384; ++k) REQUIRE(p[k] == 0);
            memset(p, 0x77, 16384);
        }
        REQUIRE(m.call(Call::CapRevoke, u).status == Status::Ok);
    }
    // Objects that share a page: the rest of it is zeroed without touching them.
    fake::state.preempt_every = 0;
    REQUIRE(m.call(Call::Retype, u, static_cast<uint64_t>(ObjectType::Notification), 0, to, 1).status ==
            Status::Ok);
    m.slot(to).as<core::Notification>()->bits = 99;
    REQUIRE(m.call(Call::Retype, u, static_cast<uint64_t>(ObjectType::Endpoint), 0, to + 1, 20).status ==
            Status::Ok);
    CHECK(m.slot(to).as<core::Notification>()->bits == 99);
}

TEST_CASE("An Untyped with children goes only if its parent can take them") {
    Machine m;
    const uint64_t u = m.make(ObjectType::Untyped, 16), to = 12000;
    REQUIRE(m.call(Call::Retype, u, static_cast<uint64_t>(ObjectType::Endpoint), 0, to, 1).status ==
            Status::Ok);
    CHECK(m.call(Call::CapDelete, m.big_untyped()).status == Status::HasChildren);
    CHECK(m.call(Call::CapDelete, u).status == Status::Ok);
    CHECK(m.slot(to).parent == &m.slot(m.big_untyped()));
}

TEST_CASE("Another CNode is reached through its capability, with kControl") {
    Machine m;
    const uint64_t cn = m.make(ObjectType::CNode, 4), weak = m.free_slot(), e = m.make(ObjectType::Endpoint);
    const auto in = [](uint64_t node, uint64_t s) { return node << 32 | s; };
    CHECK(m.call(Call::CapCopy, in(cn, 3), e, rights::kAll).status == Status::Ok);
    CHECK(m.call(Call::CapCopy, in(cn, 16), e, rights::kAll).status == Status::NoCapability);
    CHECK(m.call(Call::CapIdentify, in(cn, 3)).r0 ==
          (static_cast<uint64_t>(ObjectType::Endpoint) | uint64_t{rights::kAll} << 8));
    REQUIRE(m.call(Call::CapCopy, weak, cn, rights::kRead).status == Status::Ok);
    CHECK(m.call(Call::CapIdentify, in(weak, 3)).status == Status::NoCapability);
    CHECK(m.call(Call::CapIdentify, in(e, 3)).status == Status::NoCapability);
}

TEST_CASE("A dying CNode is drained with preemption, also when CNodes hold each other, or themselves") {
    Machine m;
    for (const uint64_t preempt : {0u, 1u, 3u}) {
        const auto before = core::sys.count[static_cast<size_t>(ObjectType::CNode)];
        const auto bytes = core::sys.bytes[static_cast<size_t>(ObjectType::CNode)];
        const uint64_t a = m.make(ObjectType::CNode, 8), b = m.make(ObjectType::CNode, 4),
                       c = m.make(ObjectType::CNode, 4), e = m.make(ObjectType::Endpoint),
                       t = m.make(ObjectType::Thread);
        const auto in = [](uint64_t node, uint64_t s) { return node << 32 | s; };
        for (uint64_t i = 0; i < 200; ++i)
            REQUIRE(m.call(Call::CapCopy, in(a, i), e, rights::kAll).status == Status::Ok);
        REQUIRE(m.call(Call::ThreadSet, t, 0, c).status == Status::Ok);
        REQUIRE(m.call(Call::CapMove, in(b, 1), c).status == Status::Ok);    // b holds c
        REQUIRE(m.call(Call::CapMove, in(a, 201), t).status == Status::Ok);  // a holds a thread that uses c
        REQUIRE(m.call(Call::CapCopy, in(b, 2), a, rights::kAll).status == Status::Ok);  // b holds a
        REQUIRE(m.call(Call::CapCopy, in(b, 3), b, rights::kAll).status == Status::Ok);  // and itself
        REQUIRE(m.call(Call::CapMove, in(a, 202), b).status == Status::Ok);              // a holds b: a cycle
        fake::state.preempt_every = preempt;
        // Only the cycle itself names a and b now.
        CHECK(m.call(Call::CapDelete, a).status == Status::Ok);
        CHECK(core::sys.count[static_cast<size_t>(ObjectType::CNode)] == before + 3);
        CHECK(m.call(Call::CapRevoke, m.big_untyped()).status == Status::Ok);
        fake::state.preempt_every = 0;
        CHECK(core::sys.count[static_cast<size_t>(ObjectType::CNode)] == before);
        CHECK(core::sys.bytes[static_cast<size_t>(ObjectType::CNode)] == bytes);
        CHECK(core::sys.count[static_cast<size_t>(ObjectType::Endpoint)] == 0);
        CHECK(core::sys.revokes == 0);
        CHECK(m.call(Call::UntypedInfo, m.big_untyped()).r1 == uint64_t{1}
                                                                   << m.slot(m.big_untyped()).size_bits);
    }
}

TEST_CASE("While a revoke is in progress nothing can be derived below it") {
    Machine m;
    const uint64_t e = m.make(ObjectType::Endpoint), first = 12000;
    for (uint64_t i = 0; i < 50; ++i)
        REQUIRE(m.call(Call::CapCopy, first + i, e, rights::kAll).status == Status::Ok);
    // One step of a revoke, then its thread is gone: the flag stays.
    fake::state.preempt_every = 1;
    core::Thread& t = m.root();
    t.user.rax = static_cast<uint64_t>(abi::kSyscallBase) + static_cast<uint64_t>(Call::CapRevoke);
    t.user.rdi = e;
    t.user.rip = 0x1000;
    core::handle_syscall(m.cpu[0]);
    CHECK(t.user.rip == 0x1000 - 2);
    fake::state.preempt_every = 0;
    uint64_t alive = first;
    while (m.slot(alive).empty()) ++alive;
    CHECK(m.call(Call::CapCopy, m.free_slot(), e, rights::kAll).status == Status::Revoking);
    CHECK(m.call(Call::CapCopy, m.free_slot(), alive, rights::kAll).status == Status::Revoking);
    CHECK(m.call(Call::CapRevoke, e).status == Status::Ok);
    CHECK(m.call(Call::CapCopy, first, e, rights::kAll).status == Status::Ok);
}

TEST_CASE("An Untyped kept in a CNode of its own memory can be revoked") {
    Machine m;
    const uint64_t u = m.make(ObjectType::Untyped, 16), cn = 12000;
    REQUIRE(m.call(Call::Retype, u, static_cast<uint64_t>(ObjectType::CNode), 4, cn, 1).status == Status::Ok);
    REQUIRE(m.call(Call::CapMove, cn << 32 | 1, u).status == Status::Ok);
    // Preempted, the call cannot find its own capability again: the table that it lay in is being destroyed.
    // Deleting finishes it.
    fake::state.preempt_every = 1;
    CHECK(m.call(Call::CapRevoke, cn << 32 | 1).status == Status::NoCapability);
    CHECK(m.call(Call::CapDelete, cn).status == Status::Ok);
    fake::state.preempt_every = 0;
    CHECK(m.slot(cn).empty());
    CHECK(core::sys.revokes == 0);
}

TEST_CASE("Ranges of frames and ports only become narrower") {
    Machine m;
    const uint64_t f = m.make(ObjectType::Frame, 16), a = m.free_slot(), b = m.free_slot(), p = m.free_slot();
    CHECK(m.call(Call::FrameMint, a, f, rights::kRead | rights::kDerive, 0x4000, 14).status == Status::Ok);
    CHECK(m.slot(a).object == m.slot(f).object + 0x4000);
    CHECK(m.call(Call::FrameMint, b, a, rights::kAll, 0x4000, 12).status == Status::BadArgument);
    CHECK(m.call(Call::FrameMint, b, a, rights::kAll, 0x1800, 12).status == Status::BadArgument);
    CHECK(m.call(Call::FrameMint, b, a, rights::kAll, 0, 16).status == Status::BadArgument);
    CHECK(m.call(Call::FrameMint, b, a, rights::kAll, 0x3000, 12).status == Status::Ok);
    CHECK(m.slot(b).rights == (rights::kRead | rights::kDerive));
    CHECK(m.call(Call::FrameMint, m.free_slot(), abi::root::kCNode, rights::kAll, 0, 12).status ==
          Status::WrongType);
    CHECK(m.call(Call::IoPortMint, p, abi::root::kIoPorts, 0x3f8, 8).status == Status::Ok);
    CHECK(m.call(Call::PortIn, p, 0x3f8, 1).r0 == 0x3f8 * 10 + 1);
    CHECK(m.call(Call::PortIn, p, 0x3ff, 2).status == Status::BadArgument);
    CHECK(m.call(Call::PortIn, p, 0x3f7, 1).status == Status::BadArgument);
    CHECK(m.call(Call::PortOut, p, 0x3fc, 4, 0xabcd).status == Status::Ok);
    CHECK(m.call(Call::PortIn, p, 0x3f8, 3).status == Status::BadArgument);
    CHECK(m.call(Call::IoPortMint, m.free_slot(), p, 0x3f0, 9).status == Status::BadArgument);
    CHECK(m.call(Call::IoPortMint, m.free_slot(), p, 0x3ff, 2).status == Status::BadArgument);
}

TEST_CASE("The machine is reset for who holds the port that could do it, and for nobody else") {
    Machine m;
    const uint64_t near = m.free_slot(), exact = m.free_slot();
    const unsigned before = fake::state.resets;
    REQUIRE(m.call(Call::IoPortMint, near, abi::root::kIoPorts, 0xcfa, 6).status == Status::Ok);
    REQUIRE(m.call(Call::IoPortMint, exact, abi::root::kIoPorts, 0xcf9, 1).status == Status::Ok);
    CHECK(m.call(Call::MachineReset, near).status == Status::BadArgument);
    CHECK(m.call(Call::MachineReset, abi::root::kLog).status == Status::WrongType);
    CHECK(fake::state.resets == before);
    CHECK(m.call(Call::MachineReset, exact).status == Status::Ok);
    CHECK(fake::state.resets == before + 1);
}

TEST_CASE(
    "Device memory: what boot code names has Untypeds of exactly its size, and nothing is there twice") {
    Machine m;
    std::map<uint64_t, uint64_t> device;  // base, end
    for (uint64_t i = abi::root::kFirstUntyped; m.slot(i).type == ObjectType::Untyped; ++i)
        if (m.slot(i).device())
            CHECK(device.emplace(m.slot(i).object, m.slot(i).object + (uint64_t{1} << m.slot(i).size_bits))
                      .second);
    uint64_t last = 0;
    for (const auto& [base, end] : device) {
        CHECK(base >= last);
        last = end;
    }
    const auto covered = [&](uint64_t base, uint64_t end) {
        for (uint64_t at = base; at < end;) {
            if (!device.contains(at) || device[at] > end) return false;
            at = device[at];
        }
        return true;
    };
    CHECK(covered(fake::kScreenBase, fake::kScreenBase + fake::kScreenBytes));
    CHECK(covered(fake::kHpet, fake::kHpet + abi::kPageSize));
    // A register block that the firmware puts into memory is none.
    for (const auto& [base, end] : device) CHECK((end <= fake::kBadRcba || base >= fake::kMemory));
}

TEST_CASE("Interrupts: claimed once, signalled with the badge, released with the last capability") {
    Machine m;
    const uint64_t h = m.free_slot(), n = m.make(ObjectType::Notification), badged = m.free_slot();
    CHECK(m.call(Call::IrqClaim, abi::root::kIrqControl, 4, 0, h).status == Status::Ok);
    CHECK(m.call(Call::IrqClaim, abi::root::kIrqControl, 4, 0, m.free_slot()).status == Status::Busy);
    CHECK(m.call(Call::IrqClaim, abi::root::kIrqControl, 24, 0, m.free_slot()).status == Status::BadArgument);
    CHECK(m.call(Call::IrqClaim, abi::root::kIrqControl, 2, 0, m.free_slot()).status == Status::BadArgument);
    CHECK(m.call(Call::IrqClaim, abi::root::kLog, 5, 0, m.free_slot()).status == Status::WrongType);
    CHECK(m.call(Call::IrqAck, h).status == Status::NotReady);
    REQUIRE(m.call(Call::CapMint, badged, n, rights::kWrite, 16).status == Status::Ok);
    CHECK(m.call(Call::IrqBind, h, badged).status == Status::Ok);
    core::handle_device_interrupt(m.cpu[0], 4);
    CHECK(m.call(Call::Wait, n, 0).r0 == 16);
    CHECK(m.call(Call::IrqAck, h).status == Status::Ok);
    CHECK(m.call(Call::CapRevoke, n).status == Status::Ok);  // the binding goes with the notification
    core::handle_device_interrupt(m.cpu[0], 4);
    CHECK(m.call(Call::Wait, n, 0).status == Status::Timeout);
    CHECK((fake::state.gsi_masked >> 4 & 1) == 1);
    CHECK(m.call(Call::CapDelete, h).status == Status::Ok);
    CHECK((fake::state.gsi_used >> 4 & 1) == 0);
    CHECK(m.call(Call::IrqClaim, abi::root::kIrqControl, 4, 0, h).status == Status::Ok);
}

TEST_CASE("Inspect lists every capability once, with parents, and no addresses") {
    Machine m;
    const uint64_t e = m.make(ObjectType::Endpoint), copy = m.free_slot(), f = m.make(ObjectType::Frame, 14);
    REQUIRE(m.call(Call::CapMint, copy, e, rights::kRead, 3).status == Status::Ok);
    uint64_t c0 = 0, c1 = 0, entries = 0;
    bool saw_copy = false, saw_frame = false;
    do {
        const auto o = m.call(Call::InspectCaps, abi::root::kInspect, c0, c1);
        REQUIRE(o.status == Status::Ok);
        for (uint64_t i = 0; i < o.r0; ++i) {
            abi::CapEntry entry;
            memcpy(&entry, m.root().buffer->data + i * sizeof entry, sizeof entry);
            const bool in_root = (entry.flags & 16) != 0 &&
                                 entry.container == m.slot(abi::root::kCNode).as<core::Object>()->id;
            if (in_root && entry.slot == copy) {
                saw_copy = true;
                CHECK(entry.badge == 3);
                CHECK(entry.parent_slot == e);
                CHECK(entry.parent_container == entry.container);
            }
            if (in_root && entry.slot == f) {
                saw_frame = true;
                CHECK(entry.object == (m.slot(f).object >> 12) + core::sys.secret);
                CHECK(entry.object < uint64_t{1} << 53);
                CHECK(entry.domain_tag == abi::kRootTag);
                CHECK((entry.flags & 1) == 0);
                CHECK(entry.mapped_in == 0);
                CHECK(entry.size_bits == 14);
            }
        }
        entries += o.r0;
        c0 = o.r1;
        c1 = o.r2;
    } while (c0 != 0 || c1 != 0);
    CHECK(saw_copy);
    CHECK(saw_frame);
    uint64_t slots = 0;
    for (core::Object* c = core::sys.containers; c != nullptr; c = c->next) {
        uint64_t count = 0;
        core::Slot* s = core::container_slots(*c, &count);
        for (uint64_t i = 0; i < count; ++i) slots += s[i].empty() ? 0 : 1;
    }
    CHECK(entries == slots);
    CHECK(m.call(Call::InspectCounts, abi::root::kInspect).status == Status::Ok);
    CHECK(m.call(Call::InspectCounts, abi::root::kLog).status == Status::WrongType);
}

TEST_CASE("Inspect says where and how a Frame is mapped, and which table lies in which") {
    Machine m;
    const uint64_t root = m.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, 4)),
                   leaf = m.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, 1)),
                   frame = m.make(ObjectType::Frame, 12);
    for (unsigned level : {3, 2}) {
        const uint64_t table =
            m.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, level));
        REQUIRE(m.call(Call::TableMap, root, table, 0x40'0000'0000).status == Status::Ok);
    }
    REQUIRE(m.call(Call::TableMap, root, leaf, 0x40'0000'0000).status == Status::Ok);
    REQUIRE(
        m.call(Call::FrameMap, root, frame, 0x40'0000'0000, abi::map::kRead | abi::map::kWrite, 1).status ==
        Status::Ok);
    const auto entry_of = [&](uint64_t slot) {
        abi::CapEntry found{};
        uint64_t c0 = 0, c1 = 0;
        do {
            const auto o = m.call(Call::InspectCaps, abi::root::kInspect, c0, c1);
            for (uint64_t i = 0; i < o.r0; ++i) {
                abi::CapEntry entry;
                memcpy(&entry, m.root().buffer->data + i * sizeof entry, sizeof entry);
                if (entry.container == m.slot(abi::root::kCNode).as<core::Object>()->id && entry.slot == slot)
                    found = entry;
            }
            c0 = o.r1;
            c1 = o.r2;
        } while (c0 != 0 || c1 != 0);
        return found;
    };
    CHECK(entry_of(root).mapped_in == 0);
    CHECK((entry_of(frame).flags & (1 | 4 | 8)) == (1 | 4));
    CHECK(entry_of(frame).mapped_in == entry_of(leaf).object);
    CHECK((entry_of(leaf).flags & 1) != 0);
    CHECK(entry_of(leaf).mapped_in != 0);
    REQUIRE(m.call(Call::Unmap, frame, 1).status == Status::Ok);
    CHECK((entry_of(frame).flags & (1 | 4 | 8)) == 0);
    CHECK(entry_of(frame).mapped_in == 0);
}

TEST_CASE("The log's levels and size") {
    Machine m;
    const auto choose = [](uint32_t levels, uint32_t guest_levels) {
        core::log_choose(levels, guest_levels, false);
    };
    const auto say = [&](uint64_t log, abi::LogLevel level) {
        memcpy(m.root().buffer->data, "x\n", 2);
        fake::state.uart.clear();
        CHECK(m.call(Call::LogWrite, log, 2, static_cast<uint64_t>(level)).status == Status::Ok);
        return !fake::state.uart.empty();
    };
    const uint64_t guest = m.free_slot();
    REQUIRE(m.call(Call::CapMint, guest, abi::root::kLog, rights::kWrite, abi::kLogOfGuest).status ==
            Status::Ok);
    for (uint32_t levels = 0; levels <= 4; ++levels) {
        choose(levels, 4 - levels);
        for (uint32_t level = 0; level < 4; ++level) {
            CHECK(say(abi::root::kLog, static_cast<abi::LogLevel>(level)) == (level < levels));
            CHECK(say(guest, static_cast<abi::LogLevel>(level)) == (level < 4 - levels));
        }
    }
    CHECK(m.call(Call::LogWrite, abi::root::kLog, 2, 4).status == Status::BadArgument);
    // What was written before a larger log came is still there, and no more than its size is kept.
    choose(4, 4);
    core::log_panic("marker\n", 7);
    const uint64_t end = m.call(Call::LogRead, abi::root::kLog, ~uint64_t{0}).r1;
    static std::vector<char> larger(64 << 10);
    core::log_move(larger.data(), larger.size());
    CHECK(m.call(Call::LogRead, abi::root::kLog, end - 7).r0 == 7);
    CHECK(memcmp(m.root().buffer->data, "marker\n", 7) == 0);
    const std::string line(1023, 'y');
    for (unsigned i = 0; i < 100; ++i) core::log_panic((line + "\n").c_str(), 1024);
    const auto oldest = m.call(Call::LogRead, abi::root::kLog, 0);
    CHECK(end + 100 * 1024 - (oldest.r1 - oldest.r0) == larger.size());
    CHECK(m.call(Call::LogControl, abi::root::kLog, abi::kLogClear).status == Status::Ok);
    // With sync_console the console service's taking of the port changes nothing.
    for (const bool keep : {true, false}) {
        core::log_choose(3, 3, keep);
        CHECK(m.call(Call::LogControl, abi::root::kLog, abi::kLogUartOff).status == Status::Ok);
        CHECK(say(abi::root::kLog, abi::LogLevel::Info) == keep);
        CHECK(m.call(Call::LogControl, abi::root::kLog, abi::kLogUartOn).status == Status::Ok);
    }
}

TEST_CASE("Tags and the log") {
    Machine m;
    core::Thread& t = m.make_thread(0, 10);
    CHECK(m.call(Call::TagSet, abi::root::kTagControl, m.cap_of(t), 42).status == Status::Ok);
    CHECK(t.header.tag == 42);
    CHECK(m.call(Call::TagSet, abi::root::kTagControl, m.big_untyped(), 42).status == Status::WrongType);
    CHECK(m.call(Call::TagSet, abi::root::kLog, m.cap_of(t), 42).status == Status::WrongType);
    REQUIRE(m.call(Call::TagSet, abi::root::kTagControl, abi::root::kThread, 7).status == Status::Ok);
    const char text[] = "hello\nwor\x1bld\n";
    memcpy(m.root().buffer->data, text, sizeof text);
    fake::state.uart.clear();
    CHECK(m.call(Call::LogWrite, abi::root::kLog, sizeof text - 1).status == Status::Ok);
    CHECK(fake::state.uart == "(d7) hello\n(d7) wor?ld\n");
    for (const auto& [tag, line] : {std::pair{uint64_t{0}, "(d0) he\n"}, {abi::kRootTag, "(root) he\n"}}) {
        REQUIRE(m.call(Call::TagSet, abi::root::kTagControl, abi::root::kThread, tag).status == Status::Ok);
        fake::state.uart.clear();
        CHECK(m.call(Call::LogWrite, abi::root::kLog, 2).status == Status::Ok);
        CHECK(fake::state.uart == line);
    }
    CHECK(m.call(Call::LogWrite, abi::root::kLog, 5000).status == Status::BadArgument);
    const auto read = m.call(Call::LogRead, abi::root::kLog, 0);
    CHECK(read.status == Status::Ok);
    CHECK(read.r0 > 10);
    CHECK(m.call(Call::LogRead, abi::root::kLog, read.r1).r0 == 0);
    CHECK(m.call(Call::LogControl, abi::root::kLog, abi::kLogUartOff).status == Status::Ok);
    fake::state.uart.clear();
    Status status = Status::Ok;
    unsigned lines = 0;
    for (; lines < 1000 && status == Status::Ok; ++lines)
        status = m.call(Call::LogWrite, abi::root::kLog, 3000).status;
    CHECK(status == Status::Truncated);
    CHECK(lines > 10);
    CHECK(fake::state.uart.empty());
    CHECK(m.call(Call::LogControl, abi::root::kLog, 3).status == Status::BadArgument);
    CHECK(m.call(Call::LogControl, abi::root::kLog, abi::kLogUartOn | abi::kLogClear).status == Status::Ok);
}
