// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/pcid.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

using bulkhead::arch::PcidCache;

// One simulated CPU: under each PCID it may keep translations of (root, epoch) until that PCID is loaded with
// a flush.
TEST_CASE("pcid: no root ever runs with another root's or an older table's translations") {
    PcidCache cache{};
    constexpr unsigned kRoots = 60;
    std::vector<uint64_t> epoch(kRoots);
    uint64_t last_epoch = 0;
    for (auto& e : epoch) e = ++last_epoch;
    std::map<uint16_t, std::pair<unsigned, uint64_t>> tlb;
    std::mt19937 random{3};
    unsigned kept = 0;
    for (unsigned step = 0; step < 100000; ++step) {
        const unsigned r = static_cast<unsigned>(random() % (step % 3 == 0 ? kRoots : 4));
        if (random() % 10 == 0) epoch[r] = ++last_epoch;
        const auto choice =
            cache.choose(reinterpret_cast<const void*>(uint64_t{0x100000} + r * 0x2000), epoch[r]);
        REQUIRE(choice.pcid != 0);
        REQUIRE(choice.pcid < 4096);
        if (choice.keep) {
            ++kept;
            REQUIRE(tlb[choice.pcid] == std::pair{r, epoch[r]});
        }
        tlb[choice.pcid] = {r, epoch[r]};
    }
    REQUIRE(kept > 10000);
}

TEST_CASE("pcid: a new root at an old address starts clean") {
    PcidCache cache{};
    const void* const root = reinterpret_cast<const void*>(0x4000);
    REQUIRE_FALSE(cache.choose(root, 1).keep);
    REQUIRE(cache.choose(root, 1).keep);
    REQUIRE_FALSE(cache.choose(root, 2).keep);
}
