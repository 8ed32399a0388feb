// SPDX-License-Identifier: Apache-2.0
#include "boot/memmap/memory_map.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using namespace bulkhead;
using abi::MemoryRange;
using abi::MemoryType;
using boot::MemoryMap;

namespace {

constexpr uint64_t kPage = 4096;

struct Claim {
    uint64_t base, size;
    MemoryType type;
};

// The oracle asks for each page: which claims touch it (Free ones only if they cover it), and which of them
// is the most cautious?
MemoryType oracle(const std::vector<Claim>& claims, uint64_t page) {
    MemoryType best{};
    for (const Claim& c : claims) {
        const uint64_t end = c.base + c.size;
        const bool counts = c.type == MemoryType::Free ? c.base <= page && end >= page + kPage
                                                       : c.size != 0 && c.base < page + kPage && end > page;
        if (counts && (best == MemoryType{} || boot::caution(c.type) > boot::caution(best))) best = c.type;
    }
    return best;
}

void compare(const std::vector<Claim>& claims, uint64_t pages) {
    MemoryMap map;
    for (const Claim& c : claims) REQUIRE(map.add(c.base, c.size, c.type));
    std::vector<MemoryRange> out(256);
    const size_t n = map.normalise(out.data(), out.size());
    std::vector<MemoryType> actual(pages);
    for (size_t i = 0; i < n; ++i) {
        REQUIRE(out[i].base % kPage == 0);
        REQUIRE(out[i].size % kPage == 0);
        REQUIRE(out[i].size > 0);
        if (i > 0) {
            REQUIRE(out[i].base >= out[i - 1].base + out[i - 1].size);
            REQUIRE((out[i].base > out[i - 1].base + out[i - 1].size || out[i].type != out[i - 1].type));
        }
        for (uint64_t at = out[i].base; at < out[i].base + out[i].size && at / kPage < pages; at += kPage)
            actual[at / kPage] = out[i].type;
    }
    for (uint64_t p = 0; p < pages; ++p) REQUIRE(actual[p] == oracle(claims, p * kPage));
}

}  // namespace

TEST_CASE("memory map: the oracle agrees on random claims") {
    constexpr MemoryType kTypes[] = {MemoryType::Free,        MemoryType::Free,    MemoryType::Reserved,
                                     MemoryType::AcpiReclaim, MemoryType::AcpiNvs, MemoryType::Bad,
                                     MemoryType::Kernel,      MemoryType::Module,  MemoryType::Boot};
    std::mt19937_64 random{42};
    for (unsigned round = 0; round < 2000; ++round) {
        std::vector<Claim> claims(random() % 12);
        for (Claim& c : claims)
            c = {random() % (64 * kPage), random() % (16 * kPage), kTypes[random() % std::size(kTypes)]};
        compare(claims, 96);
    }
}

TEST_CASE("memory map: a claim that is forgotten would become free memory, so a full map is refused") {
    MemoryMap map;
    for (size_t i = 0; i < MemoryMap::kCapacity; ++i)
        REQUIRE(map.add(i * 2 * kPage, kPage, MemoryType::Free));
    REQUIRE_FALSE(map.add(0x10000000, kPage, MemoryType::Reserved));
    std::vector<MemoryRange> out(1024);
    REQUIRE(map.normalise(out.data(), out.size()) == 0);
}

TEST_CASE("memory map: too small an answer, an end beyond the address space, nothing at all") {
    MemoryMap map;
    REQUIRE(map.add(0, kPage, MemoryType::Free));
    REQUIRE(map.add(~uint64_t{0} - 100, 1000, MemoryType::Reserved));
    REQUIRE(map.add(0x100000, ~uint64_t{0}, MemoryType::Reserved));
    REQUIRE(map.add(0x2000, 0, MemoryType::Reserved));
    MemoryRange out[2];
    REQUIRE(map.normalise(out, 2) == 2);
    REQUIRE(out[1].base == 0x100000);
    REQUIRE(map.normalise(out, 1) == 0);
}
