// SPDX-License-Identifier: Apache-2.0
#include "boot/acpi/acpi.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "abi/syscall.hpp"

using namespace bulkhead;
using boot::AcpiResult;

namespace {

using Bytes = std::vector<uint8_t>;

// 1 MiB of memory at 0; what lies beyond cannot be mapped. Reads outside a mapping are ASan's business: each
// is a copy of its own.
class Memory final : public boot::PhysicalMemory {
  public:
    const uint8_t* map(uint64_t physical, size_t bytes) override {
        if (physical == 0 || physical >= data.size() || bytes > data.size() - physical) return nullptr;
        copies.emplace_back(data.begin() + static_cast<long>(physical),
                            data.begin() + static_cast<long>(physical + bytes));
        return copies.back().data();
    }
    void put(uint64_t at, const Bytes& bytes) {
        std::copy(bytes.begin(), bytes.end(), data.begin() + static_cast<long>(at));
    }
    Bytes data = Bytes(1 << 20);
    std::vector<Bytes> copies;
};

template <typename T>
void set(Bytes& b, size_t at, T value) {
    if (b.size() < at + sizeof(T)) b.resize(at + sizeof(T));
    std::memcpy(b.data() + at, &value, sizeof(T));
}
void checksum(Bytes& b, size_t at, size_t bytes) {
    b[at] = 0;
    uint8_t sum = 0;
    for (size_t i = 0; i < bytes; ++i) sum = static_cast<uint8_t>(sum + b[i]);
    b[at] = static_cast<uint8_t>(-sum);
}
Bytes table(const char* signature, const Bytes& body) {
    Bytes b(36);
    std::memcpy(b.data(), signature, 4);
    b.insert(b.end(), body.begin(), body.end());
    set(b, 4, static_cast<uint32_t>(b.size()));
    checksum(b, 9, b.size());
    return b;
}

constexpr uint64_t kRsdp = 0xe0010, kXsdt = 0x1000, kMadt = 0x2000, kFadt = 0x3000, kDsdt = 0x4000,
                   kHpet = 0x5000, kDmar = 0x6000, kIvrs = 0x7000;

Bytes madt_body() {
    Bytes b;
    set(b, 0, uint32_t{0xfee00000});
    set(b, 4, uint32_t{1});
    const Bytes entries[] = {
        {0, 8, 0, 0, 1, 0, 0, 0},                           // CPU, APIC 0
        {0, 8, 1, 2, 1, 0, 0, 0},                           // CPU, APIC 2
        {0, 8, 2, 4, 0, 0, 0, 0},                           // disabled
        {9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0},  // x2APIC 0x100
        {1, 12, 5, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0},        // I/O APIC
        {2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0},                 // ISA 9: level, low
        {2, 10, 0, 0, 2, 0, 0, 0, 0, 0},                    // ISA 0 -> 2
    };
    for (const Bytes& e : entries) b.insert(b.end(), e.begin(), e.end());
    return b;
}

Memory machine() {
    Memory m;
    m.put(kMadt, table("APIC", madt_body()));
    Bytes fadt(244 - 36);
    set(fadt, 40 - 36, uint32_t{kDsdt});
    set(fadt, 46 - 36, uint16_t{9});
    set(fadt, 48 - 36, uint32_t{0xb2});
    set(fadt, 52 - 36, uint8_t{2});
    set(fadt, 56 - 36, uint32_t{0x600});
    set(fadt, 64 - 36, uint32_t{0x604});
    set(fadt, 76 - 36, uint32_t{0x608});
    set(fadt, 88 - 36, uint8_t{4});
    set(fadt, 91 - 36, uint8_t{4});
    set(fadt, 112 - 36, uint32_t{1 << 10});
    set(fadt, 116 - 36, uint8_t{1});
    set(fadt, 120 - 36, uint64_t{0xcf9});
    set(fadt, 128 - 36, uint8_t{0x0f});
    m.put(kFadt, table("FACP", fadt));
    m.put(kDsdt, table("DSDT", {0x10, 0x20, 0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x05, 0x01,
                                0x00, 0x00}));
    Bytes hpet(56 - 36);
    set(hpet, 44 - 36, uint64_t{0xfed00000});
    m.put(kHpet, table("HPET", hpet));
    Bytes dmar(48 - 36);
    for (const uint16_t type : {uint16_t{0}, uint16_t{1}, uint16_t{0}}) {  // DRHD, RMRR, DRHD
        set(dmar, dmar.size() + 14, uint16_t{0});
        set(dmar, dmar.size() - 16, type);
        set(dmar, dmar.size() - 14, uint16_t{16});
    }
    m.put(kDmar, table("DMAR", dmar));
    Bytes ivrs(48 - 36);
    for (const uint8_t type : {uint8_t{0x10}, uint8_t{0x11}, uint8_t{0x40}}) {  // one unit, described thrice
        set(ivrs, ivrs.size() + 22, uint16_t{0});
        set(ivrs, ivrs.size() - 24, type);
        set(ivrs, ivrs.size() - 22, uint16_t{24});
    }
    m.put(kIvrs, table("IVRS", ivrs));
    Bytes entries;
    set(entries, 0, kFadt);
    set(entries, 8, kMadt);
    set(entries, 16, kHpet);
    set(entries, 24, kDmar);
    set(entries, 32, kIvrs);
    m.put(kXsdt, table("XSDT", entries));
    Bytes rsdp(36);
    std::memcpy(rsdp.data(), "RSD PTR ", 8);
    rsdp[15] = 2;
    set(rsdp, 20, uint32_t{36});
    set(rsdp, 24, kXsdt);
    checksum(rsdp, 8, 20);
    checksum(rsdp, 32, 36);
    m.put(kRsdp, rsdp);
    return m;
}

AcpiResult parse(Memory& m, abi::BootInfo& info) {
    return boot::parse_acpi(m, boot::find_rsdp(m), 2, info);
}

}  // namespace

TEST_CASE("acpi: a whole machine") {
    Memory m = machine();
    auto info = std::make_unique<abi::BootInfo>();
    REQUIRE(parse(m, *info) == AcpiResult::Ok);
    REQUIRE(info->rsdp == kRsdp);
    REQUIRE(info->cpus == 3);
    REQUIRE(info->cpu[0].apic_id == 2);  // the boot CPU comes first
    REQUIRE(info->cpu[0].acpi_uid == 1);
    REQUIRE(info->cpu[1].apic_id == 0);
    REQUIRE(info->cpu[2].apic_id == 0x100);
    REQUIRE(info->lapic_base == 0xfee00000);
    REQUIRE(info->ioapics == 1);
    REQUIRE(info->ioapic[0].address == 0xfec00000);
    REQUIRE(info->ioapic[0].id == 5);
    REQUIRE(info->overrides == 2);
    REQUIRE(info->irq_override[0].flags == (abi::kIrqLevel | abi::kIrqLow));
    REQUIRE(info->irq_override[1].gsi == 2);
    REQUIRE(info->irq_override[1].flags == 0);
    REQUIRE(info->pm1a_control == 0x604);
    REQUIRE(info->reset_register == 0xcf9);
    REQUIRE(info->reset_value == 0x0f);
    REQUIRE(info->sleep_type_s5a == 5);
    REQUIRE(info->sleep_type_s5b == 1);
}

TEST_CASE("acpi: events, timers and IOMMUs") {
    Memory m = machine();
    auto info = std::make_unique<abi::BootInfo>();
    REQUIRE(parse(m, *info) == AcpiResult::Ok);
    const abi::BootAcpi& acpi = info->acpi;
    REQUIRE(acpi.pm1a_event == 0x600);
    REQUIRE(acpi.pm1_event_bytes == 4);
    REQUIRE(acpi.smi_command == 0xb2);
    REQUIRE(acpi.acpi_enable == 2);
    REQUIRE(acpi.pm_timer == 0x608);
    REQUIRE(acpi.pm_timer_bits == 24);
    REQUIRE(acpi.hpet == 0xfed00000);
    REQUIRE(acpi.dmar_units == 2);
    REQUIRE(acpi.ivrs_units == 1);
    REQUIRE(acpi.sci_gsi == 9);
    REQUIRE(acpi.sci_flags == (abi::kIrqLevel | abi::kIrqLow));
}

TEST_CASE("acpi: the SCI is level, active low, unless its override says otherwise in so many words") {
    struct Row {
        uint8_t source, mps;
        uint32_t gsi, flags;
    };
    constexpr uint32_t kLevel = abi::kIrqLevel, kLow = abi::kIrqLow;
    for (const Row& row :
         {Row{8, 0x05, 9, kLevel | kLow}, Row{9, 0x00, 20, kLevel | kLow}, Row{9, 0x0d, 20, kLevel},
          Row{9, 0x07, 20, kLow}, Row{9, 0x05, 20, 0}, Row{9, 0x0f, 20, kLevel | kLow}}) {
        Memory m = machine();
        Bytes body = madt_body();
        Bytes& b = body;
        b[b.size() - 17] = row.source;  // the first of the two overrides
        b[b.size() - 16] = static_cast<uint8_t>(row.gsi);
        b[b.size() - 12] = row.mps;
        m.put(kMadt, table("APIC", body));
        auto info = std::make_unique<abi::BootInfo>();
        REQUIRE(parse(m, *info) == AcpiResult::Ok);
        INFO("source " << int{row.source} << ", flags " << int{row.mps});
        CHECK(info->acpi.sci_gsi == row.gsi);
        CHECK(info->acpi.sci_flags == row.flags);
    }
}

TEST_CASE("acpi: what is missing is named") {
    auto info = std::make_unique<abi::BootInfo>();
    Memory none;
    REQUIRE(parse(none, *info) == AcpiResult::NoRsdp);
    Memory no_root = machine();
    no_root.data[kXsdt + 40] ^= 1;
    REQUIRE(parse(no_root, *info) == AcpiResult::NoRoot);
    Memory no_madt = machine();
    no_madt.data[kMadt + 40] ^= 1;
    REQUIRE(parse(no_madt, *info) == AcpiResult::NoMadt);
    Memory no_fadt = machine();
    no_fadt.data[kFadt + 100] ^= 1;
    REQUIRE(parse(no_fadt, *info) == AcpiResult::Ok);
    for (const auto r : {AcpiResult::NoRsdp, AcpiResult::BadRsdp, AcpiResult::NoRoot, AcpiResult::NoMadt,
                         AcpiResult::BadMadt})
        REQUIRE(std::strlen(boot::acpi_result_text(r)) > 20);
}

TEST_CASE("acpi: damaged tables never lead outside themselves") {
    std::mt19937_64 random{7};
    auto info = std::make_unique<abi::BootInfo>();
    for (unsigned round = 0; round < 3000; ++round) {
        Memory m = machine();
        const uint64_t tables[] = {kXsdt, kMadt, kFadt, kDsdt, kHpet, kDmar, kIvrs};
        const uint64_t at = tables[random() % std::size(tables)];
        for (unsigned n = 0; n < 1 + random() % 4; ++n)
            m.data[at + 4 + random() % 120] = static_cast<uint8_t>(random());
        // A right checksum, so that the damage is looked at.
        uint32_t length;
        std::memcpy(&length, m.data.data() + at + 4, 4);
        if (length >= 36 && length < 4096) {
            Bytes b(m.data.begin() + static_cast<long>(at), m.data.begin() + static_cast<long>(at + length));
            checksum(b, 9, length);
            m.put(at, b);
        }
        *info = {};
        (void)parse(m, *info);
        REQUIRE(info->cpus <= abi::kMaxCpus);
        REQUIRE(info->ioapics <= 8);
        REQUIRE(info->overrides <= 32);
    }
}
