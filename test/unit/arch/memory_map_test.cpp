// SPDX-License-Identifier: Apache-2.0
#include "boot/memmap/memory_map.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "boot/memmap/efi_map.hpp"

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

// The oracle asks for each page: which claims touch it, and which of them is the most cautious? A Free claim
// that does not cover the page makes it Reserved.
MemoryType oracle(const std::vector<Claim>& claims, uint64_t page) {
    MemoryType best{};
    bool memory = false;
    for (const Claim& c : claims) {
        const uint64_t end = c.base + c.size;
        if (c.size == 0 || c.base >= page + kPage || end <= page) continue;
        const bool covers = c.base <= page && end >= page + kPage;
        const MemoryType type = c.type == MemoryType::Free && !covers ? MemoryType::Reserved : c.type;
        memory |= type != MemoryType::Mmio && type != MemoryType::Reserved && type != MemoryType::Bad;
        if (best == MemoryType{} || boot::caution(type) > boot::caution(best)) best = type;
    }
    return best == MemoryType::Mmio && memory ? MemoryType::Reserved : best;
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
                                     MemoryType::Kernel,      MemoryType::Module,  MemoryType::Boot,
                                     MemoryType::Mmio};
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
    std::vector<MemoryRange> out(4096);
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

TEST_CASE("memory map: neighbours of one type need no room of their own") {
    MemoryMap map;
    for (uint64_t i = 0; i < 4 * MemoryMap::kCapacity; ++i)
        REQUIRE(map.add(i * kPage, kPage, MemoryType::Free));
    MemoryRange out[2];
    REQUIRE(map.normalise(out, 2) == 1);
    REQUIRE(out[0].size == 4 * MemoryMap::kCapacity * kPage);
}

TEST_CASE("memory map: a page that is memory in part is nothing") {
    MemoryMap map;
    REQUIRE(map.add(0x1800, 0x2000, MemoryType::Free));
    MemoryRange out[4];
    REQUIRE(map.normalise(out, 4) == 3);
    REQUIRE((out[0].base == 0x1000 && out[0].type == MemoryType::Reserved));
    REQUIRE((out[1].base == 0x2000 && out[1].type == MemoryType::Free && out[1].size == 0x1000));
    REQUIRE((out[2].base == 0x3000 && out[2].type == MemoryType::Reserved));
}

TEST_CASE("memory map: UEFI memory that is not ordinary is Reserved, whatever its type") {
    constexpr uint64_t kOrdinary = 0xf, kRuntime = uint64_t{1} << 63, kSpecific = 1 << 18, kUncachedOnly = 1;
    struct Row {
        uint64_t type, attribute;
        MemoryType expected;
    };
    for (const Row row :
         {Row{7, kOrdinary, MemoryType::Free}, Row{4, kOrdinary, MemoryType::Free},
          Row{2, kOrdinary, MemoryType::Boot}, Row{4, kOrdinary | kRuntime, MemoryType::Reserved},
          Row{7, kOrdinary | kSpecific, MemoryType::Reserved}, Row{7, kUncachedOnly, MemoryType::Reserved},
          Row{5, kOrdinary | kRuntime, MemoryType::Reserved},
          Row{11, kUncachedOnly | kRuntime, MemoryType::Mmio}, Row{14, kOrdinary, MemoryType::Reserved},
          Row{0x70000000, kOrdinary, MemoryType::Reserved}}) {
        const uint64_t descriptor[6] = {row.type, 0x100000, 0, 16, row.attribute, 0};
        MemoryMap map;
        REQUIRE(boot::add_efi_map(map, reinterpret_cast<const uint8_t*>(descriptor), sizeof descriptor,
                                  sizeof descriptor));
        MemoryRange out[1];
        REQUIRE(map.normalise(out, 1) == 1);
        INFO(row.type << " " << row.attribute);
        CHECK(out[0].type == row.expected);
    }
}
