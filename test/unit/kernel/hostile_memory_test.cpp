// SPDX-License-Identifier: Apache-2.0
// From the firmware's memory map to the Untypeds of the root task, with maps as hostile as firmware makes
// them, against an oracle that asks about every page.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "boot/memmap/memory_map.hpp"
#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::MemoryType;

namespace {

constexpr uint64_t kPage = 4096, kMiB = 1 << 20, kFourGiB = uint64_t{1} << 32;
constexpr uint64_t kMachine = 6 * kFourGiB / 4 + 64 * kMiB;  // a machine of 6 GiB, with a hole below 4 GiB
constexpr uint64_t kLapic = 0xfee00000, kIoApic = 0xfec00000;

struct Claim {
    uint64_t base, end;
    MemoryType type;
    bool touches(uint64_t page) const { return base < page + kPage && end > page; }
    bool covers(uint64_t page) const { return base <= page && end >= page + kPage; }
};

// Where claims crowd, and every page is asked about.
struct Window {
    uint64_t base, end;
};
constexpr Window kWindows[] = {{0, 24 * kMiB}, {kFourGiB - 24 * kMiB, kFourGiB + 24 * kMiB}};

struct World {
    std::vector<Claim> claims;
    abi::BootInfo info{};

    void claim(uint64_t base, uint64_t size, MemoryType type) {
        if (size) claims.push_back({base, base + size, type});
    }

    // As boot code does it.
    void normalise() {
        auto map = std::make_unique<boot::MemoryMap>();
        for (const Claim& c : claims) REQUIRE(map->add(c.base, c.end - c.base, c.type));
        info.magic = abi::kBootInfoMagic;
        info.lapic_base = kLapic;
        info.ioapics = 1;
        info.ioapic[0].address = kIoApic;
        info.ranges = static_cast<uint32_t>(map->normalise(info.range, std::size(info.range)));
        REQUIRE(info.ranges != 0);
    }

    // Every byte of the page is memory that nothing else claims; `whole`: by one claim alone.
    bool is_free(uint64_t page, bool whole) const {
        std::vector<std::pair<uint64_t, uint64_t>> parts;
        for (const Claim& c : claims) {
            if (!c.touches(page)) continue;
            if (c.type != MemoryType::Free || (whole && !c.covers(page))) return false;
            parts.emplace_back(c.base, c.end);
        }
        std::sort(parts.begin(), parts.end());
        uint64_t covered = page;
        for (const auto& [base, end] : parts)
            if (base <= covered) covered = std::max(covered, end);
        return covered >= page + kPage;
    }

    bool is_device(uint64_t page) const {
        bool claimed = false;
        for (const Claim& c : claims) {
            if (!c.touches(page)) continue;
            if (c.type != MemoryType::Mmio) return false;
            claimed = true;
        }
        return page >= kMiB && (claimed || page < kFourGiB) && page != kLapic && page != kIoApic;
    }
};

World hostile(std::mt19937_64& random, unsigned entries) {
    World w;
    w.claim(0, 0xa0000, MemoryType::Free);
    w.claim(kMiB, 0xc0000000 - kMiB, MemoryType::Free);
    w.claim(kFourGiB, kMachine - kFourGiB, MemoryType::Free);
    constexpr MemoryType kTypes[] = {
        MemoryType::Free,    MemoryType::Free,   MemoryType::Reserved,       MemoryType::AcpiReclaim,
        MemoryType::AcpiNvs, MemoryType::Bad,    MemoryType::Kernel,         MemoryType::Boot,
        MemoryType::Mmio,    MemoryType::Module, static_cast<MemoryType>(77)};
    for (unsigned i = 0; i < entries; ++i) {
        const Window& window = kWindows[random() % std::size(kWindows)];
        uint64_t base = window.base + random() % (window.end - window.base),
                 size = random() % (random() % 3 ? 64 * 1024 : 2 * kMiB);
        if (random() % 2) base &= ~(kPage - 1), size &= ~(kPage - 1);  // holes and neighbours to the page
        size = std::min(size, window.end - base);
        w.claim(base, size, kTypes[random() % std::size(kTypes)]);
    }
    std::shuffle(w.claims.begin(), w.claims.end(), random);
    w.normalise();
    return w;
}

bool inside_windows(uint64_t page) {
    return std::any_of(std::begin(kWindows), std::end(kWindows),
                       [&](const Window& w) { return page >= w.base && page < w.end; });
}

// No byte that must not be handed out is, and nothing is twice. Returns the bytes of memory.
uint64_t check(const World& w, const std::vector<fake::HandedOut>& pieces) {
    std::vector<std::pair<uint64_t, uint64_t>> taken;
    uint64_t memory = 0;
    for (const fake::HandedOut& piece : pieces) {
        const uint64_t size = uint64_t{1} << piece.size_bits, end = piece.base + size;
        REQUIRE(piece.base % size == 0);
        REQUIRE(piece.size_bits >= abi::kPageBits);
        taken.emplace_back(piece.base, end);
        if (!piece.device) memory += size;
        if (piece.module != 0) continue;
        uint64_t wrong = 0;
        for (uint64_t page = piece.base; page < end; page += kPage) {
            if (!inside_windows(page) && page % kMiB != 0) continue;  // outside, claims are whole MiB
            const bool right = piece.device ? w.is_device(page) : page >= kMiB && w.is_free(page, false);
            if (!right && wrong == 0) wrong = page;
        }
        INFO((piece.device ? "device " : "memory ") << std::hex << piece.base << " " << wrong);
        REQUIRE(wrong == 0);
    }
    std::sort(taken.begin(), taken.end());
    for (size_t i = 1; i < taken.size(); ++i) REQUIRE(taken[i].first >= taken[i - 1].second);
    return memory;
}

uint64_t free_memory(const World& w) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < w.info.ranges; ++i) {
        const abi::MemoryRange& r = w.info.range[i];
        if (r.type == MemoryType::Free && r.base + r.size > kMiB)
            bytes += r.base + r.size - std::max(r.base, kMiB);
    }
    return bytes;
}

}  // namespace

TEST_CASE("hostile memory: of 200 claims no byte is handed out that must not be") {
    std::mt19937_64 random{2026};
    for (unsigned round = 0; round < 12; ++round) {
        const World w = hostile(random, 200);
        const auto pieces = fake::hand_out(w.info, kMachine);
        const uint64_t memory = check(w, pieces);
        // Nearly all of it: the kernel's own objects, and the smallest pieces where the table is full.
        INFO(round << " " << memory << " of " << free_memory(w) << " in " << pieces.size());
        CHECK(memory + 8 * kMiB >= free_memory(w));
        // What the normaliser calls Free is what the oracle calls so.
        for (const Window& window : kWindows)
            for (uint64_t page = window.base; page < window.end; page += kPage) {
                bool found = false;
                for (uint32_t i = 0; i < w.info.ranges && !found; ++i)
                    found = w.info.range[i].type == MemoryType::Free && page >= w.info.range[i].base &&
                            page < w.info.range[i].base + w.info.range[i].size;
                if (found != w.is_free(page, true)) FAIL("page " << std::hex << page);
            }
    }
}

TEST_CASE("hostile memory: a machine of 6 GiB without malice has all of it, also above 4 GiB") {
    World w;
    w.claim(0, 0x9fc00, MemoryType::Free);
    w.claim(0x9fc00, 0x60400, MemoryType::Reserved);
    w.claim(kMiB, 0xc0000000 - kMiB, MemoryType::Free);
    w.claim(0xbff00000, kMiB, MemoryType::AcpiNvs);
    w.claim(kFourGiB, kMachine - kFourGiB, MemoryType::Free);
    w.normalise();
    const auto pieces = fake::hand_out(w.info, kMachine);
    const uint64_t memory = check(w, pieces);
    CHECK(memory <= free_memory(w));
    CHECK(memory + 2 * kMiB >= free_memory(w));
    uint64_t above = 0;
    for (const auto& piece : pieces)
        if (!piece.device && piece.base >= kFourGiB) above += uint64_t{1} << piece.size_bits;
    CHECK(above + 2 * kMiB >= kMachine - kFourGiB);
}

TEST_CASE(
    "hostile memory: where memory has more holes than the table has room, the largest pieces are handed "
    "out") {
    World w;
    w.claim(kMiB, 512 * kMiB, MemoryType::Free);
    // Every other 64 KiB of 8 MiB has a reserved byte in its first page: 15 pages in four pieces each.
    for (unsigned i = 0; i < 128; ++i) w.claim(2 * kMiB + i * 64 * 1024, 1, MemoryType::Reserved);
    w.claim(kFourGiB, kMachine - kFourGiB, MemoryType::Free);
    w.normalise();
    const auto pieces = fake::hand_out(w.info, kMachine);
    const uint64_t memory = check(w, pieces);
    CHECK(memory + 6 * kMiB >= free_memory(w));
    CHECK(pieces.size() == std::size(abi::RootInfo{}.untyped));
    CHECK(std::any_of(pieces.begin(), pieces.end(),
                      [](const auto& p) { return p.device && p.size_bits >= 28; }));
    CHECK(fake::state.uart.find("memory is in too many pieces") != std::string::npos);
}
