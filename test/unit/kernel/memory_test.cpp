// SPDX-License-Identifier: Apache-2.0
// Mapping, against TLBs that keep what they saw until they are flushed.
#include <catch2/catch.hpp>

#include <random>

#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::ObjectType;
using abi::Status;
using abi::TableKind;
using fake::Machine;
namespace map = abi::map;
namespace rights = abi::rights;

namespace {

constexpr uint64_t kAt = 0x40'0000'0000;

struct Space {
    Machine& m;
    uint64_t root;
    core::PageTable& table() { return *m.slot(root).as<core::PageTable>(); }
    explicit Space(Machine& machine, TableKind kind = TableKind::Host)
        : m{machine}, root{machine.make(ObjectType::PageTable, abi::table_size_arg(kind, 4))} {}
    uint64_t add(unsigned level, uint64_t address) {
        const uint64_t t = m.make(ObjectType::PageTable, abi::table_size_arg(table().kind, level));
        REQUIRE(m.call(Call::TableMap, root, t, address).status == Status::Ok);
        return t;
    }
    Machine::Outcome frame(uint64_t f, uint64_t address, uint64_t flags, uint64_t count = 1) {
        return m.call(Call::FrameMap, root, f, address, flags, count);
    }
};

}  // namespace

TEST_CASE("A missing level is named, level by level; then the frame is there") {
    Machine m;
    Space s{m};
    const uint64_t f = m.make(ObjectType::Frame, 12);
    for (const uint64_t level : {3u, 2u, 1u}) {
        const auto o = s.frame(f, kAt, map::kRead);
        CHECK(o.status == Status::NoPageTable);
        CHECK(o.r0 == level);
        s.add(static_cast<unsigned>(level), kAt);
    }
    CHECK(s.frame(f, kAt, map::kRead | map::kWrite).status == Status::Ok);
    const auto t = fake::access(0, s.table(), kAt);
    REQUIRE(t);
    CHECK(t->physical == m.slot(f).object);
    CHECK(t->write);
    CHECK(!t->execute);
    CHECK(s.frame(f, kAt + 4096, map::kRead).status == Status::AlreadyMapped);
    const uint64_t g = m.make(ObjectType::Frame, 12);
    CHECK(s.frame(g, kAt, map::kRead).status == Status::AlreadyMapped);
    CHECK(m.call(Call::Unmap, f, 1).status == Status::Ok);
    CHECK(fake::tlbs_are_fresh());
    CHECK(!fake::access(0, s.table(), kAt));
    CHECK(m.call(Call::Unmap, f, 1).status == Status::NotMapped);
    CHECK(m.call(Call::Unmap, abi::root::kLog, 1).status == Status::WrongType);
}

TEST_CASE("Rights, W^X, alignment, user space only") {
    Machine m;
    Space s{m};
    for (const unsigned level : {3u, 2u, 1u}) s.add(level, kAt);
    const uint64_t f = m.make(ObjectType::Frame, 12), ro = m.free_slot(), big = m.make(ObjectType::Frame, 14);
    REQUIRE(m.call(Call::CapCopy, ro, f, rights::kRead | rights::kDerive).status == Status::Ok);
    CHECK(s.frame(ro, kAt, map::kRead | map::kWrite).status == Status::NoRights);
    CHECK(s.frame(ro, kAt, map::kRead | map::kExecute).status == Status::NoRights);
    CHECK(s.frame(f, kAt, map::kRead | map::kWrite | map::kExecute).status == Status::BadArgument);
    CHECK(s.frame(f, kAt, map::kWrite).status == Status::BadArgument);
    CHECK(s.frame(f, kAt, map::kRead | 64).status == Status::BadArgument);
    CHECK(s.frame(f, kAt + 8, map::kRead).status == Status::BadArgument);
    CHECK(s.frame(big, kAt + 4096, map::kRead).status == Status::BadArgument);
    CHECK(s.frame(f, abi::kUserEnd, map::kRead).status == Status::BadArgument);
    CHECK(s.frame(f, ~uint64_t{4095}, map::kRead).status == Status::BadArgument);
    CHECK(s.frame(f, 0xffff'8000'0000'0000, map::kRead).status == Status::BadArgument);
    CHECK(s.frame(ro, kAt, map::kRead).status == Status::Ok);
    CHECK(!fake::access(0, s.table(), kAt)->write);
    const uint64_t t = m.make(ObjectType::PageTable, abi::table_size_arg(TableKind::Guest, 1));
    CHECK(m.call(Call::TableMap, s.root, t, kAt + (2 << 20)).status == Status::BadArgument);
    const uint64_t root2 = m.make(ObjectType::PageTable, abi::table_size_arg(TableKind::Host, 4));
    CHECK(m.call(Call::TableMap, s.root, root2, kAt).status == Status::BadArgument);
    const uint64_t leaf = m.make(ObjectType::PageTable, abi::table_size_arg(TableKind::Host, 1));
    CHECK(m.call(Call::FrameMap, leaf, f, kAt, map::kRead, 1).status == Status::BadArgument);
    CHECK(m.call(Call::TableMap, s.root, leaf, kAt).status == Status::AlreadyMapped);
    CHECK(m.call(Call::TableMap, s.root, leaf, 0x0000'8000'0000'0000).status == Status::BadArgument);
    CHECK(m.call(Call::TableMap, s.root, leaf, 0xffff'8000'0000'0000).status == Status::BadArgument);
}

TEST_CASE("Frames of every size, in host and guest tables") {
    Machine m;
    for (const TableKind kind : {TableKind::Host, TableKind::Guest}) {
        Space s{m, kind};
        s.add(3, kAt);
        s.add(2, kAt);
        for (unsigned bits = 12; bits <= 21; ++bits) {
            const uint64_t at = kAt + (uint64_t{bits} << 21), f = m.make(ObjectType::Frame, bits);
            if (bits < 21) s.add(1, at);
            REQUIRE(s.frame(f, at, map::kRead | map::kWrite).status == Status::Ok);
            const uint64_t last = (uint64_t{1} << bits) - 4096;
            CHECK(fake::access(1, s.table(), at)->physical == m.slot(f).object);
            CHECK((fake::access(1, s.table(), at + last)->physical & ~uint64_t{4095}) ==
                  m.slot(f).object + last);
            if (bits < 20) CHECK(!fake::access(1, s.table(), at + last + 4096));
            if (bits % 2 == 0) CHECK(m.call(Call::CapDelete, f).status == Status::Ok);
            CHECK(fake::tlbs_are_fresh());
        }
        const uint64_t wx = m.make(ObjectType::Frame, 12);
        s.add(1, kAt);
        CHECK(s.frame(wx, kAt, map::kRead | map::kWrite | map::kExecute).status ==
              (kind == TableKind::Guest ? Status::Ok : Status::BadArgument));
    }
}

TEST_CASE("A revoked grant cannot be used by any CPU when revoke returns") {
    Machine m;
    Space a{m}, b{m};
    const uint64_t f = m.make(ObjectType::Frame, 13), grant = m.free_slot();
    for (const unsigned level : {3u, 2u, 1u}) a.add(level, kAt), b.add(level, kAt);
    REQUIRE(m.call(Call::CapCopy, grant, f, rights::kRead).status == Status::Ok);
    REQUIRE(a.frame(f, kAt, map::kRead | map::kWrite).status == Status::Ok);
    REQUIRE(b.frame(grant, kAt, map::kRead).status == Status::Ok);
    for (const unsigned cpu : {0u, 1u, 2u}) {
        REQUIRE(fake::access(cpu, a.table(), kAt));
        REQUIRE(fake::access(cpu, b.table(), kAt + 4096));
    }
    CHECK(m.call(Call::CapRevoke, f).status == Status::Ok);
    CHECK(fake::tlbs_are_fresh());
    CHECK(!fake::access(1, b.table(), kAt + 4096));
    CHECK(fake::access(1, a.table(), kAt));
}

TEST_CASE("Batches are preemptible and say how far they came") {
    Machine m;
    Space s{m};
    for (const unsigned level : {3u, 2u, 1u}) s.add(level, kAt);
    const uint64_t first = 12000;
    REQUIRE(m.call(Call::Retype, m.big_untyped(), static_cast<uint64_t>(ObjectType::Frame), 12, first, 40)
                .status == Status::Ok);
    fake::state.preempt_every = 3;
    const auto o = s.frame(first, kAt, map::kRead, 40);
    CHECK(o.status == Status::Ok);
    CHECK(o.r0 == 40);
    CHECK(o.restarts > 10);
    for (uint64_t i = 0; i < 40; ++i)
        CHECK(fake::access(0, s.table(), kAt + i * 4096)->physical == m.slot(first + i).object);
    const auto u = m.call(Call::Unmap, first, 40);
    CHECK(u.status == Status::Ok);
    CHECK(u.r0 == 40);
    CHECK(fake::tlbs_are_fresh());
    fake::state.preempt_every = 0;
    const auto p = s.frame(first, kAt + (500 << 12), map::kRead, 40);  // runs over the end of the leaf table
    CHECK(p.status == Status::NoPageTable);
    CHECK(p.r0 == 1);
    CHECK(p.r1 == 12);
}

TEST_CASE(
    "Tables: unmapped or destroyed, what they mapped is gone from TLBs and slots; moved slots are followed") {
    Machine m;
    Space s{m};
    s.add(3, kAt);
    const uint64_t l2 = s.add(2, kAt), l1 = s.add(1, kAt), f = m.make(ObjectType::Frame, 14),
                   moved = m.free_slot(), moved_table = m.free_slot();
    REQUIRE(s.frame(f, kAt, map::kRead).status == Status::Ok);
    REQUIRE(fake::access(1, s.table(), kAt + 0x3000));
    REQUIRE(m.call(Call::CapMove, moved, f).status == Status::Ok);
    REQUIRE(m.call(Call::CapMove, moved_table, l1).status == Status::Ok);
    CHECK(m.call(Call::Unmap, moved_table, 1).status == Status::Ok);
    CHECK(fake::tlbs_are_fresh());
    CHECK(!fake::access(1, s.table(), kAt));
    CHECK(m.call(Call::TableMap, s.root, moved_table, kAt + (2 << 20)).status ==
          Status::Ok);  // elsewhere, with its content
    CHECK(fake::access(1, s.table(), kAt + (2 << 20) + 0x1000));
    CHECK(m.call(Call::CapDelete, l2).status == Status::Ok);
    CHECK(fake::tlbs_are_fresh());
    CHECK(!fake::access(1, s.table(), kAt + (2 << 20)));
    CHECK(m.slot(moved_table).mapping == 0);
    CHECK(m.call(Call::CapDelete, moved_table).status == Status::Ok);
    CHECK(m.slot(moved).mapping == 0);
    CHECK(m.call(Call::Unmap, moved, 1).status == Status::NotMapped);
}

TEST_CASE("Random mapping, unmapping, moving and deleting leaves no stale translation") {
    const unsigned seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    Machine m;
    Space s{m}, g{m, TableKind::Guest};
    for (Space* space : {&s, &g}) {
        space->add(3, kAt);
        space->add(2, kAt);
        for (uint64_t i = 0; i < 4; ++i) space->add(1, kAt + (i << 21));
    }
    constexpr uint64_t kFirst = 12000, kSlots = 64;
    for (unsigned step = 0; step < 20000; ++step) {
        const uint64_t slot = kFirst + random() % kSlots, other = kFirst + random() % kSlots;
        Space& space = random() % 2 != 0 ? s : g;
        const uint64_t at = kAt + (random() % 4 << 21) + (random() % 64 << 12);
        switch (random() % 8) {
            case 0:
                (void)m.call(Call::Retype, m.big_untyped(), static_cast<uint64_t>(ObjectType::Frame),
                             12 + random() % 5, slot, 1);
                break;
            case 1: (void)m.call(Call::CapCopy, slot, other, rights::kAll); break;
            case 2: (void)m.call(Call::CapMove, slot, other); break;
            case 3: (void)m.call(Call::CapDelete, slot); break;
            case 4:
                if (random() % 8 == 0) (void)m.call(Call::CapRevoke, slot);
                break;
            case 5:
            case 6:
                (void)space.frame(slot, at, map::kRead | (random() % 2 != 0 ? map::kWrite : 0),
                                  1 + random() % 3);
                break;
            case 7: (void)m.call(Call::Unmap, slot, 1); break;
        }
        for (unsigned i = 0; i < 4; ++i)
            (void)fake::access(static_cast<unsigned>(random() % 3), i % 2 != 0 ? s.table() : g.table(),
                               kAt + (random() % 4 << 21) + (random() % 64 << 12));
        REQUIRE(fake::tlbs_are_fresh());
    }
    CHECK(m.call(Call::CapRevoke, m.big_untyped()).status == Status::Ok);
    for (const auto& tlb : fake::state.tlb) CHECK(tlb.empty());
}
