// SPDX-License-Identifier: Apache-2.0
// lib/cap on a fake kernel: what is made comes back whole, in whatever order handles end, and nothing leaks
// when the kernel refuses.
#include "lib/cap/mapper.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "test/unit/runtime/fake_machine.hpp"

using namespace cap_test;
using cap::CapAddr;

namespace {

struct World {
    World() : cspace{0, {100, 400}}, memory{cspace, kernel(), {10, 0}} {
        machine.give_untyped(10, 20);
        machine.give_untyped(11, 24);
        memory.add(CapAddr{0, 10});
        memory.add(CapAddr{0, 11});
    }
    static const abi::KernelInfo& kernel() {
        static const abi::KernelInfo info = [] {
            abi::KernelInfo made = {};
            for (auto& bytes : made.object_bytes) bytes = 512;
            made.object_bytes[static_cast<size_t>(ObjectType::PageTable)] = 8192;
            return made;
        }();
        return info;
    }
    FakeMachine machine;
    cap::CSpace cspace;
    cap::UntypedAllocator memory;
};

constexpr uint64_t kAllBytes = (uint64_t{1} << 20) + (uint64_t{1} << 24);

}  // namespace

TEST_CASE("memory comes back whole in whatever order objects end") {
    World w;
    CHECK(w.memory.free_bytes() == kAllBytes);
    std::mt19937 random{GENERATE(range(1u, 6u))};
    std::vector<cap::Cap<cap::Frame>> frames;
    std::vector<cap::Cap<cap::Notification>> notifications;
    for (int n = 0; n < 400; ++n) {
        if (random() % 2) {
            if (auto made = w.memory.create<cap::Frame>(12 + random() % 8))
                frames.push_back(std::move(*made));
        } else if (auto made = w.memory.create<cap::Notification>()) {
            notifications.push_back(std::move(*made));
        }
        if (!frames.empty() && random() % 2) {
            std::swap(frames[random() % frames.size()], frames.back());
            frames.pop_back();
        }
    }
    frames.clear();
    notifications.clear();
    CHECK(w.memory.free_bytes() == kAllBytes);
    CHECK(w.cspace.slots().available() == 400);
    CHECK(w.machine.slots.size() == 2);
}

TEST_CASE("the end of a handle takes every copy of the object with it") {
    World w;
    auto frame = w.memory.create<cap::Frame>(12);
    REQUIRE(frame);
    auto copy = w.cspace.copy<cap::Frame>(frame->address(), abi::rights::kRead);
    REQUIRE(copy);
    CHECK(w.machine.count(ObjectType::Frame) == 2);
    frame->reset();
    CHECK(w.machine.count(ObjectType::Frame) == 0);
    copy->reset();  // its slot is empty already: no error
    CHECK(w.cspace.slots().available() == 400);
}

TEST_CASE("exhaustion is an error and leaves everything as it was") {
    World w;
    CHECK(w.memory.create<cap::Frame>(30).error() == Status::OutOfMemory);
    std::vector<cap::Cap<cap::Frame>> all;
    while (auto frame = w.memory.create<cap::Frame>(18)) all.push_back(std::move(*frame));
    CHECK(all.size() > 60);
    all.clear();
    CHECK(w.memory.free_bytes() == kAllBytes);
    CHECK(w.cspace.slots().available() == 400);
}

TEST_CASE("a kernel that refuses at any moment costs nothing") {
    for (unsigned calls = 0; calls < 60; ++calls) {
        World w;
        w.machine.fail_after = calls;
        {
            std::vector<cap::Cap<cap::Frame>> frames;
            for (unsigned n = 0; n < 8; ++n)
                if (auto made = w.memory.create<cap::Frame>(12 + n % 3)) frames.push_back(std::move(*made));
        }
        CHECK(w.memory.free_bytes() == kAllBytes);
        CHECK(w.cspace.slots().available() == 400);
        CHECK(w.machine.slots.size() == 2);
    }
}

TEST_CASE("an Untyped that is in use is neither accepted nor handed back") {
    World w;
    w.machine.give_untyped(12, 20);
    REQUIRE(cap::sys::retype(CapAddr{0, 12}, ObjectType::Notification, 0, CapAddr{0, 13}) == Status::Ok);
    CHECK_FALSE(w.memory.add(CapAddr{0, 12}));
    auto frame = w.memory.create<cap::Frame>(12);
    CHECK_FALSE((w.memory.remove(CapAddr{0, 10}) && w.memory.remove(CapAddr{0, 11})));
    frame->reset();
}

TEST_CASE("frames are mapped with the tables they need, and their range is free again") {
    World w;
    cap::Mapper mapper{CapAddr{0, 2}, {uint64_t{1} << 40, uint64_t{1} << 30}, w.memory};
    auto frame = w.memory.create<cap::Frame>(12);
    REQUIRE(frame);
    uint64_t first = 0;
    {
        auto mapping = mapper.map(frame->address(), 12, abi::map::kRead);
        REQUIRE(mapping);
        first = mapping->address();
        CHECK(w.machine.count(ObjectType::PageTable) == 3);
        CHECK(w.machine.slots[frame->address().raw].mapped == first);
    }
    CHECK(w.machine.slots[frame->address().raw].mapped == 0);
    auto again = mapper.map(frame->address(), 12, abi::map::kRead);
    REQUIRE(again);
    CHECK(again->address() == first);
}

TEST_CASE("a run of frames crosses tables") {
    World w;
    cap::Mapper mapper{CapAddr{0, 2}, {uint64_t{1} << 40, uint64_t{1} << 30}, w.memory};
    const auto slots = w.cspace.slots().allocate_run(40);
    auto block = w.memory.untyped(23);
    REQUIRE((slots && block));
    for (uint32_t i = 0; i < 40; ++i)
        REQUIRE(cap::sys::retype(block->address(), ObjectType::Frame, 17, slots->plus(i)) == Status::Ok);
    auto mapping = mapper.map(*slots, 17, abi::map::kRead | abi::map::kWrite, 40);
    REQUIRE(mapping);
    for (uint32_t i = 0; i < 40; ++i)
        CHECK(w.machine.slots[slots->plus(i).raw].mapped == mapping->address() + i * (uint64_t{1} << 17));
}

TEST_CASE("ranges have a guard page and merge when they are released") {
    World w;
    cap::Mapper mapper{CapAddr{0, 2}, {uint64_t{1} << 40, 64 * 4096}, w.memory};
    const auto a = mapper.reserve(4096, 4096), b = mapper.reserve(3 * 4096, 4096),
               c = mapper.reserve(4096, 4096);
    REQUIRE((a && b && c));
    CHECK(*b >= *a + 2 * 4096);
    CHECK(*c >= *b + 4 * 4096);
    mapper.release(*a, 4096);
    mapper.release(*c, 4096);
    mapper.release(*b, 3 * 4096);
    CHECK(mapper.reserve(63 * 4096, 4096).has_value());
    CHECK_FALSE(mapper.reserve(4096, 4096).has_value());
    CHECK_FALSE(mapper.reserve(~uint64_t{0}, 4096).has_value());
}

TEST_CASE("slots: runs, holes and the hint") {
    cap::SlotAllocator slots{3, {10, 130}};
    const auto a = slots.allocate_run(100);
    REQUIRE(a);
    CHECK(a->cnode() == 3);
    CHECK(a->slot() == 10);
    CHECK_FALSE(slots.allocate_run(31));
    slots.free(a->plus(20), 50);
    const auto b = slots.allocate_run(40);
    REQUIRE(b);
    CHECK(b->slot() == 30);
    CHECK(slots.available() == 40);
    CHECK_FALSE(slots.allocate_run(0));
}
