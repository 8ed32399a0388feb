// SPDX-License-Identifier: Apache-2.0
// dom0 dies before and after every capability operation of a guest's life; the next one finds the machine's
// memory whole.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <set>

#include "test/unit/dom0/fake_untypeds.hpp"
#include "toolstack/dom0/ledger.hpp"

namespace bulkhead::dom0 {
namespace {

constexpr std::uint32_t kCNode = 77, kSlots = 256;
constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kTotal = (512 + 128 + 2) * kMib;

// The machine: what outlives dom0.
struct World {
    FakeUntypeds kernel;
    alignas(8) std::vector<std::uint64_t> journal = std::vector<std::uint64_t>(8192);
    std::uint32_t scratch = 1;

    World() {
        kernel.add_root({kCNode, 1}, 29, 0);
        kernel.add_root({kCNode, 2}, 27, 512 * kMib);
        kernel.add_root({kCNode, 3}, 21, 640 * kMib);
    }
};

struct Dom0 {
    World& world;
    Journal journal{std::as_writable_bytes(std::span{world.journal})};
    State state;
    Memory memory{kCNode, state};
    Ledger ledger{state, journal, memory};

    explicit Dom0(World& w) : world{w} {
        if (const auto bytes = journal.load()) {
            state = State::decode(*bytes, kSlots).value();
            memory.recover();
        } else {
            state.nodes.resize(kSlots);
            memory.adopt(3);
        }
    }

    // As Guests does, without a supervisor: what it would take lies in slots of dom0's own CNode.
    bool create(std::uint64_t mib, std::uint32_t successor_of = 0) {
        xl::DomainConfig config;
        config.name = "guest";
        config.memory_mib = mib;
        const auto id = ledger.begin(config, successor_of, 1);
        if (!id) return false;
        cap::Status status = ledger.carry_out();  // a Death must not pass through an assertion
        REQUIRE(status == cap::Status::Ok);
        for (const std::uint32_t slot : state.find(*id)->chunks) {
            status = cap::sys::retype(memory.address(slot), cap::ObjectType::Untyped, state.nodes[slot].bits,
                                      {0, world.scratch++});
            REQUIRE(status == cap::Status::Ok);
        }
        REQUIRE(ledger.complete(*id));
        return true;
    }
    void destroy(std::uint32_t id, bool restart = false) {
        ledger.tear_down(id, restart, [] {});
        clean_up(id);
    }
    void clean_up(std::uint32_t id) {
        if (state.find(id)->restart) (void)create(state.find(id)->config.memory_mib, id);
        ledger.erase(id);
    }
    void recover() {
        std::vector<std::uint32_t> ids;
        for (const auto& record : state.domains) ids.push_back(record.id);
        for (const std::uint32_t id : ids) {
            const DomainRecord& record = *state.find(id);
            if (record.phase == Phase::Building || record.phase == Phase::Dying)
                destroy(id, record.restart);
            else if (record.phase == Phase::Gone)
                clean_up(id);
        }
    }

    void check() const {
        std::set<std::uint64_t> in_books, in_kernel;
        std::uint64_t used = 0;
        for (std::uint32_t slot = 1; slot < kSlots; slot++) {
            const Node& node = state.nodes[slot];
            if (node.use == Use::None) continue;
            in_books.insert(memory.address(slot).raw);
            REQUIRE(world.kernel.slots.at(memory.address(slot).raw).bits == node.bits);
            if (node.use == Use::Used) used += std::uint64_t{1} << node.bits;
            if (node.use == Use::Free)
                REQUIRE(world.kernel.slots.at(memory.address(slot).raw).watermark == 0);
        }
        for (const auto& [at, slot] : world.kernel.slots)
            if (cap::CapAddr{at}.cnode() == kCNode) in_kernel.insert(at);
        REQUIRE(in_books == in_kernel);
        REQUIRE(used + memory.free_bytes() == kTotal);
        std::set<std::uint32_t> owned;
        for (const DomainRecord& record : state.domains) {
            REQUIRE(record.phase == Phase::Live);
            for (const std::uint32_t slot : record.chunks) {
                REQUIRE(owned.insert(slot).second);
                REQUIRE(state.nodes[slot].use == Use::Used);
                REQUIRE(state.nodes[slot].domain == record.id);
                // What was made of it is still there.
                REQUIRE(world.kernel.slots.at(memory.address(slot).raw).watermark ==
                        std::uint64_t{1} << state.nodes[slot].bits);
            }
        }
    }
};

TEST_CASE("memory comes in few powers of two and comes back whole") {
    World world;
    Dom0 dom0{world};
    REQUIRE(dom0.create(256));
    REQUIRE(dom0.state.domains[0].chunks.size() == 2);
    REQUIRE(dom0.create(100));
    dom0.check();
    const std::uint64_t left = dom0.memory.free_bytes();
    REQUIRE_FALSE(dom0.create(1024));
    REQUIRE(dom0.memory.free_bytes() == left);
    // Fragmented memory is still memory.
    REQUIRE(dom0.create((left >> 20) - 4));
    REQUIRE(dom0.memory.free_bytes() == 0);
    dom0.check();
    while (!dom0.state.domains.empty()) dom0.destroy(dom0.state.domains.front().id);
    dom0.check();
    REQUIRE(dom0.memory.free_bytes() == kTotal);
    REQUIRE(std::ranges::count_if(dom0.state.nodes, [](const Node& n) { return n.use != Use::None; }) == 3);
}

void script(Dom0& dom0) {
    (void)dom0.create(60);
    (void)dom0.create(200);
    (void)dom0.create(33);
    const std::uint32_t second = dom0.state.domains[1].id;
    dom0.destroy(second);
    dom0.destroy(dom0.state.domains[0].id, true);
    (void)dom0.create(130);
    dom0.destroy(dom0.state.domains[0].id);
}

TEST_CASE("dom0 dies at every capability operation, and nothing is lost") {
    for (const bool carried_out : {false, true}) {
        for (std::uint64_t step = 0;; step++) {
            INFO("call " << step << (carried_out ? " carried out" : " not carried out"));
            World world;
            std::vector<std::uint32_t> live;
            bool died = false;
            {
                Dom0 dom0{world};
                world.kernel.die_at(step, carried_out);
                try {
                    script(dom0);
                } catch (const Death&) {
                    died = true;
                }
                for (const auto& record : dom0.state.domains)
                    if (record.phase == Phase::Live) live.push_back(record.id);
            }
            world.kernel.live();
            // The new one may die while it recovers, too.
            for (std::uint64_t second = 0; died; second += 3) {
                world.kernel.die_at(second, carried_out);
                try {
                    Dom0 dom0{world};
                    dom0.recover();
                    world.kernel.live();
                    dom0.check();
                    for (const std::uint32_t id : live) REQUIRE(dom0.state.find(id) != nullptr);
                    break;
                } catch (const Death&) {
                }
            }
            world.kernel.live();
            Dom0 dom0{world};
            dom0.recover();
            dom0.check();
            while (!dom0.state.domains.empty()) dom0.destroy(dom0.state.domains.front().id);
            REQUIRE(dom0.memory.free_bytes() == kTotal);
            dom0.check();
            if (!died) break;
        }
    }
}

TEST_CASE("a restart is not forgotten, wherever dom0 dies") {
    for (const bool carried_out : {false, true}) {
        for (std::uint64_t step = 0;; step++) {
            INFO("call " << step);
            World world;
            bool died = false;
            {
                Dom0 dom0{world};
                (void)dom0.create(64);
                world.kernel.die_at(step, carried_out);
                try {
                    dom0.destroy(dom0.state.domains[0].id, true);
                } catch (const Death&) {
                    died = true;
                }
            }
            world.kernel.live();
            Dom0 dom0{world};
            dom0.recover();
            dom0.check();
            // Before the first commit of its end it lives on; afterwards a new one does.
            REQUIRE(dom0.state.domains.size() == 1);
            if (!died) break;
        }
    }
}

TEST_CASE("random lives and deaths") {
    std::mt19937 random{20240117};
    World world;
    for (int round = 0; round < 200; round++) {
        world.kernel.live();
        Dom0 dom0{world};
        dom0.recover();
        dom0.check();
        world.kernel.die_at(random() % 120, random() % 2 == 0);
        try {
            for (;;) {
                if (random() % 2 == 0 || dom0.state.domains.empty())
                    (void)dom0.create(1 + random() % 150);
                else
                    dom0.destroy(dom0.state.domains[random() % dom0.state.domains.size()].id,
                                 random() % 4 == 0);
            }
        } catch (const Death&) {
        }
    }
}

}  // namespace
}  // namespace bulkhead::dom0
