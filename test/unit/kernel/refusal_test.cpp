// SPDX-License-Identifier: Apache-2.0
// Every call, every capability argument: empty, of another type, without the right. And what happens to those
// who hold something that is destroyed with a whole domain.
#include <catch2/catch.hpp>

#include <vector>

#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::ObjectType;
using abi::Status;
using fake::Machine;
namespace rights = abi::rights;

namespace {

struct Argument {
    unsigned position;  // 0–5
    ObjectType type;
    uint8_t need;  // 0: any rights will do
};
struct Row {
    Call call;
    std::vector<Argument> capabilities;
};

const std::vector<Row> kRows = {
    {Call::IpcCall, {{0, ObjectType::Endpoint, rights::kWrite}}},
    {Call::IpcRecv, {{0, ObjectType::Endpoint, rights::kRead}}},
    {Call::IpcReplyRecv, {{0, ObjectType::Endpoint, rights::kRead}}},
    {Call::Signal, {{0, ObjectType::Notification, rights::kWrite}}},
    {Call::Wait, {{0, ObjectType::Notification, rights::kRead}}},
    {Call::VcpuRun, {{0, ObjectType::Vcpu, rights::kControl}}},
    {Call::Retype, {{0, ObjectType::Untyped, 0}}},
    {Call::UntypedInfo, {{0, ObjectType::Untyped, 0}}},
    {Call::TableMap,
     {{0, ObjectType::PageTable, rights::kControl}, {1, ObjectType::PageTable, rights::kControl}}},
    {Call::FrameMap, {{0, ObjectType::PageTable, rights::kControl}}},
    {Call::ThreadSet, {{0, ObjectType::Thread, rights::kControl}}},
    {Call::ThreadStart, {{0, ObjectType::Thread, rights::kControl}}},
    {Call::ThreadSuspend, {{0, ObjectType::Thread, rights::kControl}}},
    {Call::ThreadResume, {{0, ObjectType::Thread, rights::kControl}}},
    {Call::ThreadRead, {{0, ObjectType::Thread, rights::kControl}}},
    {Call::ThreadUpcall, {{0, ObjectType::Thread, rights::kControl}}},
    {Call::SchedConfigure,
     {{0, ObjectType::SchedControl, rights::kControl}, {1, ObjectType::SchedContext, rights::kWrite}}},
    {Call::SchedRead, {{0, ObjectType::SchedContext, rights::kRead}}},
    {Call::SchedPause, {{0, ObjectType::SchedContext, rights::kWrite}}},
    {Call::VcpuSet, {{0, ObjectType::Vcpu, rights::kControl}}},
    {Call::IrqClaim, {{0, ObjectType::IrqControl, rights::kControl}}},
    {Call::IrqBind,
     {{0, ObjectType::IrqHandler, rights::kControl}, {1, ObjectType::Notification, rights::kWrite}}},
    {Call::IrqAck, {{0, ObjectType::IrqHandler, rights::kControl}}},
    {Call::PortIn, {{0, ObjectType::IoPort, rights::kControl}}},
    {Call::PortOut, {{0, ObjectType::IoPort, rights::kControl}}},
    {Call::MachineReset, {{0, ObjectType::IoPort, rights::kControl}}},
    {Call::TagSet, {{0, ObjectType::TagControl, rights::kControl}}},
    {Call::InspectCaps, {{0, ObjectType::Inspect, rights::kRead}}},
    {Call::InspectCounts, {{0, ObjectType::Inspect, rights::kRead}}},
    {Call::DebugCounters, {{0, ObjectType::Inspect, rights::kRead}}},
    {Call::LogWrite, {{0, ObjectType::Log, rights::kWrite}}},
    {Call::LogRead, {{0, ObjectType::Log, rights::kRead}}},
    {Call::LogControl, {{0, ObjectType::Log, rights::kControl}}},
};

// One capability of each type, with all rights, and one that can only be derived from.
struct Holdings {
    Machine m;
    std::map<ObjectType, uint64_t> full, weak;
    Holdings() {
        for (const ObjectType type : {ObjectType::Untyped, ObjectType::Frame}) full[type] = m.make(type, 12);
        full[ObjectType::CNode] = m.make(ObjectType::CNode, 2);
        full[ObjectType::PageTable] =
            m.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, 4));
        for (const ObjectType type : {ObjectType::Thread, ObjectType::SchedContext, ObjectType::Endpoint,
                                      ObjectType::Reply, ObjectType::Notification, ObjectType::Vcpu})
            full[type] = m.make(type);
        full[ObjectType::IrqHandler] = m.free_slot();
        REQUIRE(m.call(Call::IrqClaim, abi::root::kIrqControl, 5, 0, full[ObjectType::IrqHandler]).status ==
                Status::Ok);
        full[ObjectType::IoPort] = abi::root::kIoPorts;
        full[ObjectType::IrqControl] = abi::root::kIrqControl;
        full[ObjectType::SchedControl] = abi::root::kSchedControl;
        full[ObjectType::TagControl] = abi::root::kTagControl;
        full[ObjectType::Inspect] = abi::root::kInspect;
        full[ObjectType::Log] = abi::root::kLog;
        for (const auto& [type, cap] : full) {
            if (type == ObjectType::Untyped) continue;
            weak[type] = m.free_slot();
            REQUIRE(m.call(Call::CapCopy, weak[type], cap, rights::kDerive).status == Status::Ok);
        }
    }
    Status call(const Row& row, const Argument& wrong, uint64_t what) {
        uint64_t args[6] = {};
        for (const Argument& a : row.capabilities) args[a.position] = full[a.type];
        args[wrong.position] = what;
        return m
            .call(m.root(), row.call, args[0], args[1], args[2], args[3], args[4], args[5],
                  full[ObjectType::Reply], 0)
            .status;
    }
};

}  // namespace

TEST_CASE("No call works on nothing, on the wrong type, or without the right") {
    Holdings h;
    for (const Row& row : kRows) {
        INFO("call " << static_cast<unsigned>(row.call));
        for (const Argument& a : row.capabilities) {
            INFO("argument " << a.position);
            CHECK(h.call(row, a, 13999) == Status::NoCapability);
            CHECK(h.call(row, a, ~uint64_t{0}) == Status::NoCapability);
            CHECK(h.call(row, a, uint64_t{1} << 32 | 1 << 20) == Status::NoCapability);
            if (a.position == 0) CHECK(h.call(row, a, 0) == Status::NoCapability);
            CHECK(
                h.call(row, a, h.full[a.type == ObjectType::Frame ? ObjectType::CNode : ObjectType::Frame]) ==
                Status::WrongType);
            if (a.need != 0) CHECK(h.call(row, a, h.weak[a.type]) == Status::NoRights);
        }
    }
}

TEST_CASE("A killed domain: tombstones ring, callers are told, its memory is whole again") {
    Machine m;
    for (const uint64_t preempt : {0u, 1u}) {
        // The domain: a CNode with a thread's, a reply's and a tombstone capability, all of its own memory.
        const uint64_t memory = m.make(ObjectType::Untyped, 18), cn = 12000,
                       bell = m.make(ObjectType::Notification), other = m.make(ObjectType::Notification);
        const auto in = [&](uint64_t s) { return cn << 32 | s; };
        const auto make = [&](ObjectType type, uint64_t size, uint64_t to) {
            REQUIRE(m.call(Call::Retype, memory, static_cast<uint64_t>(type), size, to, 1).status ==
                    Status::Ok);
        };
        make(ObjectType::CNode, 5, cn);
        make(ObjectType::Thread, 0, in(1));
        make(ObjectType::Frame, 12, in(2));
        make(ObjectType::Endpoint, 0, in(3));
        REQUIRE(m.call(Call::CapMint, in(4), bell, rights::kWrite | rights::kTombstone, 64).status ==
                Status::Ok);
        REQUIRE(m.call(Call::CapMint, in(5), other, rights::kWrite, 64).status == Status::Ok);
        REQUIRE(m.call(Call::ThreadSet, in(1), 0, cn).status == Status::Ok);
        fake::state.preempt_every = preempt;
        CHECK(m.call(Call::CapRevoke, memory).status == Status::Ok);
        fake::state.preempt_every = 0;
        CHECK(m.call(Call::Wait, bell, 0).r0 == 64);
        CHECK(m.call(Call::Wait, other, 0).status == Status::Timeout);  // no tombstone, no signal
        CHECK(m.call(Call::UntypedInfo, memory).r1 == uint64_t{1} << 18);
        CHECK(m.slot(cn).empty());
    }
}

TEST_CASE("Nothing is derived, bound or made below a revoke that is in progress") {
    Holdings h;
    Machine& m = h.m;
    // Revokes that stopped half-way; the mark is all that matters here.
    const auto mark = [&](uint64_t slot, bool on) {
        m.slot(slot).flags = static_cast<uint8_t>(on ? m.slot(slot).flags | core::kSlotRevoking
                                                     : m.slot(slot).flags & ~core::kSlotRevoking);
        core::sys.revokes += on ? 1 : ~uint64_t{0};
    };
    mark(m.big_untyped(), true);
    const uint64_t to = 13000;
    CHECK(m.call(Call::CapCopy, to, h.full[ObjectType::Endpoint], rights::kAll).status == Status::Revoking);
    CHECK(m.call(Call::CapMint, to, h.full[ObjectType::Endpoint], rights::kAll, 3).status ==
          Status::Revoking);
    CHECK(m.call(Call::FrameMint, to, h.full[ObjectType::Frame], rights::kAll, 0, 12).status ==
          Status::Revoking);
    CHECK(m.call(Call::Retype, h.full[ObjectType::Untyped], static_cast<uint64_t>(ObjectType::Endpoint), 0,
                 to, 1)
              .status == Status::Revoking);
    CHECK(m.call(Call::ThreadSet, h.full[ObjectType::Thread], 0, h.full[ObjectType::CNode]).status ==
          Status::Revoking);
    CHECK(m.call(Call::VcpuSet, h.full[ObjectType::Vcpu], 0, h.full[ObjectType::Frame]).status ==
          Status::Revoking);
    CHECK(m.call(Call::IrqBind, h.full[ObjectType::IrqHandler], h.full[ObjectType::Notification]).status ==
          Status::Revoking);
    CHECK(m.call(Call::CapMove, to, m.big_untyped()).status == Status::Revoking);
    mark(m.big_untyped(), false);
    mark(abi::root::kIoPorts, true);
    CHECK(m.call(Call::IoPortMint, to, abi::root::kIoPorts, 1, 1).status == Status::Revoking);
    mark(abi::root::kIoPorts, false);
    mark(abi::root::kIrqControl, true);
    CHECK(m.call(Call::IrqClaim, abi::root::kIrqControl, 6, 0, to).status == Status::Revoking);
    mark(abi::root::kIrqControl, false);
    CHECK(m.call(Call::CapCopy, to, h.full[ObjectType::Endpoint], rights::kAll).status == Status::Ok);
}
