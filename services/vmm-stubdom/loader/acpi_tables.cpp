// SPDX-License-Identifier: Apache-2.0
// Field offsets are those of the ACPI specification 5.0, chapter 5.2.
#include "services/vmm-stubdom/loader/acpi_tables.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "services/vmm-stubdom/loader/guest_layout.hpp"

namespace bulkhead::vmm {
namespace {

constexpr std::size_t kHeaderSize = 36;
constexpr std::size_t kRsdpSize = 36;
constexpr std::size_t kXsdtSize = kHeaderSize + 2 * 8;
constexpr std::size_t kFadtSize = 268;
constexpr std::size_t kMadtFixed = kHeaderSize + 8;
constexpr std::size_t kLapicSize = 8;
constexpr std::uint32_t kLocalApicAddress = 0xfee0'0000;
constexpr std::uint16_t kBootNoVga = 1U << 2;
constexpr std::uint16_t kBootNoCmosRtc = 1U << 5;
constexpr std::uint32_t kFadtHardwareReduced = 1U << 20;

// Writes tables one after the other and knows their guest-physical addresses.
class Builder {
  public:
    Builder(AcpiTables& tables, GuestPhys base) : tables_(tables), base_(base) {}

    // Offset of the next table, 16-byte aligned as the RSDP has to be.
    std::size_t begin(std::size_t size) {
        const std::size_t at = (tables_.size + 15) & ~std::size_t{15};
        tables_.size = at + size;
        return at;
    }
    std::size_t begin_table(std::string_view signature, std::uint8_t revision, std::size_t size) {
        const std::size_t at = begin(size);
        text(at, signature);
        put(at + 4, static_cast<std::uint32_t>(size));
        put(at + 8, revision);
        text(at + 10, "BULKHD");
        text(at + 16, "BULKHEAD");
        put(at + 24, std::uint32_t{1});
        text(at + 28, "BLKH");
        put(at + 32, std::uint32_t{1});
        return at;
    }
    template <typename T>
    void put(std::size_t at, T value) {
        std::memcpy(tables_.bytes.data() + at, &value, sizeof value);
    }
    void text(std::size_t at, std::string_view value) {
        std::memcpy(tables_.bytes.data() + at, value.data(), value.size());
    }
    // Makes the bytes of [at, at + size) sum to zero.
    void checksum(std::size_t at, std::size_t size, std::size_t where) {
        unsigned sum = 0;
        for (std::size_t i = at; i < at + size; ++i) sum += std::to_integer<unsigned>(tables_.bytes[i]);
        tables_.bytes[where] = static_cast<std::byte>(0x100 - (sum & 0xff));
    }
    void finish_table(std::size_t at, std::size_t size) { checksum(at, size, at + 9); }
    [[nodiscard]] std::uint64_t address(std::size_t at) const { return base_.value() + at; }

  private:
    AcpiTables& tables_;
    GuestPhys base_;
};

std::size_t build_dsdt(Builder& builder) {
    const std::size_t at = builder.begin_table("DSDT", 2, kHeaderSize);
    builder.finish_table(at, kHeaderSize);
    return at;
}

std::size_t build_fadt(Builder& builder, std::size_t dsdt) {
    const std::size_t at = builder.begin_table("FACP", 5, kFadtSize);
    builder.put(at + 40, static_cast<std::uint32_t>(builder.address(dsdt)));
    builder.put(at + 109, static_cast<std::uint16_t>(kBootNoVga | kBootNoCmosRtc));
    builder.put(at + 112, kFadtHardwareReduced);
    builder.put(at + 140, builder.address(dsdt));
    builder.finish_table(at, kFadtSize);
    return at;
}

std::size_t build_madt(Builder& builder, unsigned vcpus) {
    const std::size_t size = kMadtFixed + vcpus * kLapicSize;
    const std::size_t at = builder.begin_table("APIC", 3, size);
    builder.put(at + 36, kLocalApicAddress);
    for (unsigned vcpu = 0; vcpu < vcpus; ++vcpu) {
        const std::size_t entry = at + kMadtFixed + vcpu * kLapicSize;
        builder.put(entry, std::uint8_t{0});  // processor local APIC
        builder.put(entry + 1, static_cast<std::uint8_t>(kLapicSize));
        builder.put(entry + 2, static_cast<std::uint8_t>(vcpu));  // processor UID
        builder.put(entry + 3, static_cast<std::uint8_t>(vcpu));  // APIC ID
        builder.put(entry + 4, std::uint32_t{1});                 // enabled
    }
    builder.finish_table(at, size);
    return at;
}

}  // namespace

AcpiTables build_acpi_tables(GuestPhys base, unsigned vcpus) {
    AcpiTables tables;
    Builder builder(tables, base);
    const std::size_t rsdp = builder.begin(kRsdpSize);
    const std::size_t dsdt = build_dsdt(builder);
    const std::size_t fadt = build_fadt(builder, dsdt);
    const std::size_t madt = build_madt(builder, std::clamp(vcpus, 1U, kMaxVcpus));

    const std::size_t xsdt = builder.begin_table("XSDT", 1, kXsdtSize);
    builder.put(xsdt + 36, builder.address(fadt));
    builder.put(xsdt + 44, builder.address(madt));
    builder.finish_table(xsdt, kXsdtSize);

    builder.text(rsdp, "RSD PTR ");
    builder.text(rsdp + 9, "BULKHD");
    builder.put(rsdp + 15, std::uint8_t{2});
    builder.put(rsdp + 20, static_cast<std::uint32_t>(kRsdpSize));
    builder.put(rsdp + 24, builder.address(xsdt));
    builder.checksum(rsdp, 20, rsdp + 8);
    builder.checksum(rsdp, kRsdpSize, rsdp + 32);
    return tables;
}

}  // namespace bulkhead::vmm
