// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/pvh_boot.hpp"

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/xen.h>

#include <catch2/catch.hpp>

#include "services/vmm-stubdom/loader/acpi_tables.hpp"
#include "test/unit/vmm-loader/image_maker.hpp"
#include "test/unit/vmm-loader/test_ram.hpp"

namespace bulkhead::vmm {
namespace {

using namespace test;

unsigned sum(const std::byte* at, std::size_t size) {
    unsigned total = 0;
    for (std::size_t i = 0; i < size; ++i) total += std::to_integer<unsigned>(at[i]);
    return total & 0xff;
}

template <typename T>
T get(const TestRam& ram, std::uint64_t at) {
    T value;
    std::memcpy(&value, ram.host() + at, sizeof value);
    return value;
}

std::string text(const TestRam& ram, std::uint64_t at, std::size_t size) {
    return {reinterpret_cast<const char*>(ram.host()) + at, size};
}

TEST_CASE("ACPI tables have valid checksums and one LAPIC per vCPU with its vcpu_id as UID") {
    for (const unsigned vcpus : {1U, 2U, 16U}) {
        TestRam ram(0x100000);
        const AcpiTables tables = build_acpi_tables(GuestPhys(kAcpiBase), vcpus);
        std::memcpy(ram.host() + kAcpiBase, tables.bytes.data(), tables.size);
        CHECK(text(ram, kAcpiBase, 8) == "RSD PTR ");
        CHECK(sum(ram.host() + kAcpiBase, 20) == 0);
        CHECK(sum(ram.host() + kAcpiBase, 36) == 0);
        const auto xsdt = get<std::uint64_t>(ram, kAcpiBase + 24);
        CHECK(text(ram, xsdt, 4) == "XSDT");
        CHECK(get<std::uint32_t>(ram, xsdt + 4) == 36 + 16);
        const auto fadt = get<std::uint64_t>(ram, xsdt + 36);
        const auto madt = get<std::uint64_t>(ram, xsdt + 44);
        const auto dsdt = get<std::uint64_t>(ram, fadt + 140);
        CHECK(text(ram, fadt, 4) == "FACP");
        CHECK(text(ram, madt, 4) == "APIC");
        CHECK(text(ram, dsdt, 4) == "DSDT");
        for (const std::uint64_t table : {xsdt, fadt, madt, dsdt}) {
            CHECK(sum(ram.host() + table, get<std::uint32_t>(ram, table + 4)) == 0);
        }
        CHECK(get<std::uint32_t>(ram, fadt + 112) == 1U << 20);
        CHECK(get<std::uint16_t>(ram, fadt + 109) == 0x24);
        CHECK(get<std::uint32_t>(ram, fadt + 4) == 268);
        CHECK(get<std::uint32_t>(ram, madt + 4) == 44 + 8 * vcpus);
        for (unsigned i = 0; i < vcpus; ++i) {
            CHECK(get<std::uint8_t>(ram, madt + 44 + 8 * i + 2) == i);
            CHECK(get<std::uint8_t>(ram, madt + 44 + 8 * i + 3) == i);
        }
    }
}

TEST_CASE("the memory map keeps special pages and holes out of RAM") {
    const GuestLayout small(64ULL << 20);
    REQUIRE(small.map().size() == 4);
    CHECK(small.map()[2].base == 0x100000);
    CHECK(small.map()[2].size == (63ULL << 20));
    const GuestLayout large(6ULL << 30);
    REQUIRE(large.map().size() == 5);
    CHECK(large.low_top() == kLowRamLimit);
    CHECK(large.map()[4].base == kHighRamBase);
    CHECK(large.map()[4].size == (3ULL << 30));
    std::uint64_t end = 0;
    for (const MemoryMapEntry& entry : large.map()) {
        CHECK(entry.base >= end);
        end = entry.base + entry.size;
    }
}

TEST_CASE("a PVH guest finds kernel, initrd, command line, memory map and ACPI by start_info") {
    constexpr std::uint64_t size = 16ULL << 20;
    TestRam ram(size);
    const Bytes kernel = make_bzimage(Compression::Lz4Legacy, make_elf64());
    const Bytes initrd(12345, std::byte{0xab});
    const Bytes second(4096, std::byte{0xcd});
    const BootModule modules[] = {{initrd, {}}, {second, "firmware"}};
    const auto start = prepare_pvh(ram.memory(), {size, 2, kernel, modules, "console=hvc0 quiet"});
    if (!start) FAIL(start.error().sentence);
    CHECK(start->entry == 0x200040);
    const auto info = get<hvm_start_info>(ram, start->start_info.value());
    CHECK(info.magic == 0x336ec578);
    CHECK(info.version == 1);
    CHECK(info.flags == 0);
    CHECK(info.nr_modules == 2);
    CHECK(info.rsdp_paddr == kAcpiBase);
    CHECK(info.memmap_entries == 4);
    CHECK(get<MemoryMapEntry>(ram, info.memmap_paddr).size == 0xa0000);
    CHECK(std::string(reinterpret_cast<char*>(ram.host()) + info.cmdline_paddr) == "console=hvc0 quiet");
    const auto first = get<hvm_modlist_entry>(ram, info.modlist_paddr);
    CHECK(first.paddr % 4096 == 0);
    CHECK(first.size == 12345);
    CHECK(first.paddr >= start->kernel.highest);
    CHECK(first.paddr + first.size <= size);
    CHECK(first.cmdline_paddr == 0);
    CHECK(ram.host()[first.paddr + 12344] == std::byte{0xab});
    const auto other = get<hvm_modlist_entry>(ram, info.modlist_paddr + sizeof first);
    CHECK(other.paddr + other.size <= first.paddr);
    CHECK(text(ram, other.cmdline_paddr, 9) == std::string("firmware\0", 9));
}

TEST_CASE("a PVH guest that cannot start is refused") {
    constexpr std::uint64_t size = 16ULL << 20;
    TestRam ram(size);
    const Bytes kernel = make_elf64();
    const Bytes initrd(15U << 20);
    const BootModule modules[] = {{initrd, {}}};
    CHECK_FALSE(prepare_pvh(ram.memory(), {size, 1, kernel, modules, ""}));
    CHECK_FALSE(prepare_pvh(ram.memory(), {size, 0, kernel, {}, ""}));
    CHECK_FALSE(prepare_pvh(ram.memory(), {size, 17, kernel, {}, ""}));
    CHECK_FALSE(prepare_pvh(ram.memory(), {size * 2, 1, kernel, {}, ""}));
    CHECK_FALSE(prepare_pvh(ram.memory(), {size, 1, kernel, {}, std::string(0x10000, 'a')}));
    CHECK_FALSE(prepare_pvh(ram.memory(), {size, 1, kernel, {}, std::string("a\0b", 3)}));
    CHECK_FALSE(prepare_pvh(ram.memory(), {0x80000, 1, kernel, {}, ""}));
    CHECK(prepare_pvh(ram.memory(), {size, 1, kernel, {}, ""}));
}

}  // namespace
}  // namespace bulkhead::vmm
