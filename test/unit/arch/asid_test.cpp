// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/svm/asid.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <vector>

using bulkhead::arch::svm::AsidFlush;
using bulkhead::arch::svm::AsidHeld;
using bulkhead::arch::svm::AsidPool;

TEST_CASE("asid: numbers are never the host's and never shared within a generation") {
    AsidPool pool;
    pool.init(0, 16);
    std::set<uint32_t> seen;
    for (unsigned i = 0; i < 100; ++i) {
        AsidHeld held{};
        if (pool.take(held, 1) == AsidFlush::All) seen.clear();
        REQUIRE(held.asid != 0);
        REQUIRE(held.asid < 16);
        REQUIRE(seen.insert(held.asid).second);
    }
}

// Simulated CPUs that cache, under each ASID, the epoch of the translations they saw, and forget only when
// told.
TEST_CASE("asid: no vCPU ever runs with translations of an older epoch or of another vCPU") {
    constexpr unsigned kCpus = 3, kVcpus = 40, kAsids = 16;
    AsidPool pools[kCpus];
    std::map<uint32_t, std::pair<unsigned, uint64_t>> tlb[kCpus];  // ASID -> vCPU, epoch
    for (unsigned c = 0; c < kCpus; ++c) pools[c].init(c, kAsids);
    std::vector<AsidHeld> held(kVcpus);
    std::vector<uint64_t> epoch(kVcpus, 1);
    std::mt19937 random{1};
    for (unsigned step = 0; step < 200000; ++step) {
        const unsigned v = static_cast<unsigned>(random() % kVcpus),
                       c = static_cast<unsigned>(random() % kCpus);
        if (random() % 5 == 0) ++epoch[v];
        if (!pools[c].current(held[v], epoch[v]) && pools[c].take(held[v], epoch[v]) == AsidFlush::All)
            tlb[c].clear();
        const auto [entry, fresh] = tlb[c].try_emplace(held[v].asid, v, epoch[v]);
        REQUIRE(entry->second == std::pair{v, epoch[v]});
    }
}

TEST_CASE("asid: a vCPU that stays keeps what it has") {
    AsidPool pool;
    pool.init(2, 8);
    AsidHeld held{};
    REQUIRE_FALSE(pool.current(held, 0));
    (void)pool.take(held, 5);
    REQUIRE(pool.current(held, 5));
    REQUIRE_FALSE(pool.current(held, 6));
    AsidPool other;
    other.init(1, 8);
    REQUIRE_FALSE(other.current(held, 5));
}
