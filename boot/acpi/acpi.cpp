// SPDX-License-Identifier: Apache-2.0
// ACPI specification 6.4, chapter 5.2.
#include "boot/acpi/acpi.hpp"

#include "abi/syscall.hpp"

namespace bulkhead::boot {

using abi::BootInfo;

namespace {

constexpr size_t kHeaderBytes = 36;
constexpr size_t kLargestTable = 1 << 20;  // a DSDT can be some hundred kB; anything larger is garbage

// A table's bytes with checked reads: what lies outside reads as zero.
class Bytes {
  public:
    Bytes() = default;
    Bytes(const uint8_t* data, size_t size) : data_{data}, size_{size} {}
    explicit operator bool() const { return data_ != nullptr; }
    size_t size() const { return size_; }
    bool has(size_t offset, size_t bytes) const { return offset <= size_ && bytes <= size_ - offset; }
    template <typename T>
    T read(size_t offset) const {
        T value{};
        if (has(offset, sizeof(T))) __builtin_memcpy(&value, data_ + offset, sizeof(T));
        return value;
    }
    bool is(size_t offset, const char* text, size_t bytes) const {
        return has(offset, bytes) && __builtin_memcmp(data_ + offset, text, bytes) == 0;
    }
    bool sums_to_zero(size_t bytes) const {
        if (!has(0, bytes)) return false;
        uint8_t sum = 0;
        for (size_t i = 0; i < bytes; ++i) sum = static_cast<uint8_t>(sum + data_[i]);
        return sum == 0;
    }

  private:
    const uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

Bytes load_table(PhysicalMemory& memory, uint64_t physical) {
    const uint8_t* header = physical != 0 ? memory.map(physical, kHeaderBytes) : nullptr;
    if (header == nullptr) return {};
    const size_t length = Bytes{header, kHeaderBytes}.read<uint32_t>(4);
    if (length < kHeaderBytes || length > kLargestTable) return {};
    const uint8_t* data = memory.map(physical, length);
    if (data == nullptr) return {};
    const Bytes table{data, length};
    return table.sums_to_zero(length) ? table : Bytes{};
}

Bytes find_table(PhysicalMemory& memory, const Bytes& root, size_t entry_bytes, const char* signature) {
    for (size_t at = kHeaderBytes; root.has(at, entry_bytes); at += entry_bytes) {
        const uint64_t address = entry_bytes == 8 ? root.read<uint64_t>(at) : root.read<uint32_t>(at);
        const Bytes table = load_table(memory, address);
        if (table && table.is(0, signature, 4)) return table;
    }
    return {};
}

// -- MADT

void add_cpu(BootInfo& info, uint32_t apic_id, uint32_t uid, uint32_t flags, uint32_t boot_apic_id) {
    if ((flags & 1) == 0 || info.cpus == 0) return;  // bit 0: usable now; hot-plug CPUs stay out
    if (apic_id == boot_apic_id) {
        info.cpu[0].acpi_uid = uid;
        return;
    }
    for (uint32_t i = 0; i < info.cpus; ++i)
        if (info.cpu[i].apic_id == apic_id) return;
    if (info.cpus < abi::kMaxCpus) info.cpu[info.cpus++] = {apic_id, uid};
}

void add_override(BootInfo& info, const Bytes& madt, size_t at) {
    constexpr uint32_t kCapacity = sizeof(info.irq_override) / sizeof(info.irq_override[0]);
    if (info.overrides == kCapacity) return;
    const uint16_t mps = madt.read<uint16_t>(at + 8);
    // ISA is edge, high unless the table says otherwise.
    const uint32_t flags = ((mps & 3) == 3 ? uint32_t{abi::kIrqLow} : 0u) |
                           (((mps >> 2) & 3) == 3 ? uint32_t{abi::kIrqLevel} : 0u);
    info.irq_override[info.overrides++] = {madt.read<uint8_t>(at + 3), madt.read<uint32_t>(at + 4), flags, 0};
}

void read_madt(const Bytes& madt, uint32_t boot_apic_id, BootInfo& info) {
    info.lapic_base = madt.read<uint32_t>(36);
    info.cpus = 1;
    info.cpu[0] = {boot_apic_id, 0};
    for (size_t at = 44; madt.has(at, 2);) {
        const uint8_t type = madt.read<uint8_t>(at), length = madt.read<uint8_t>(at + 1);
        if (length < 2 || !madt.has(at, length)) break;
        if (type == 0 && length >= 8)
            add_cpu(info, madt.read<uint8_t>(at + 3), madt.read<uint8_t>(at + 2), madt.read<uint32_t>(at + 4),
                    boot_apic_id);
        if (type == 9 && length >= 16)
            add_cpu(info, madt.read<uint32_t>(at + 4), madt.read<uint32_t>(at + 12),
                    madt.read<uint32_t>(at + 8), boot_apic_id);
        if (type == 1 && length >= 12 && info.ioapics < sizeof(info.ioapic) / sizeof(info.ioapic[0]))
            info.ioapic[info.ioapics++] = {madt.read<uint32_t>(at + 4), madt.read<uint8_t>(at + 2),
                                           madt.read<uint32_t>(at + 8)};
        if (type == 2 && length >= 10) add_override(info, madt, at);
        if (type == 5 && length >= 12) info.lapic_base = madt.read<uint64_t>(at + 4);
        at += length;
    }
}

// -- FADT and the S5 package

// Name (_S5_, Package () {SLP_TYPa, SLP_TYPb, …}): 08 [5c] "_S5_" 12 PkgLength NumElements, each element a
// byte constant.
bool element(const Bytes& aml, size_t& at, uint32_t& value) {
    const uint8_t op = aml.read<uint8_t>(at);
    if (!aml.has(at, 1)) return false;
    switch (op) {
        case 0x00:
        case 0x01:
            value = op;
            at += 1;
            return true;
        case 0x0a:
            value = aml.read<uint8_t>(at + 1);
            at += 2;
            return aml.has(at, 0);
        case 0x0b:
            value = aml.read<uint16_t>(at + 1) & 7u;
            at += 3;
            return aml.has(at, 0);
        default: return false;
    }
}

bool read_s5(const Bytes& aml, BootInfo& info) {
    for (size_t at = kHeaderBytes + 1; aml.has(at, 6); ++at) {
        if (!aml.is(at, "_S5_\x12", 5)) continue;
        const uint8_t before = aml.read<uint8_t>(at - 1);
        if (before != 0x08 && !(before == 0x5c && aml.read<uint8_t>(at - 2) == 0x08)) continue;
        size_t inside = at + 5;
        inside += 1 + (aml.read<uint8_t>(inside) >> 6);  // PkgLength
        inside += 1;                                     // NumElements
        uint32_t a = 0, b = 0;
        if (!element(aml, inside, a)) continue;
        if (!element(aml, inside, b)) b = a;
        info.sleep_type_s5a = a & 7;
        info.sleep_type_s5b = b & 7;
        return true;
    }
    return false;
}

constexpr uint8_t kIoSpace = 1;

// A register block of the FADT: the 32-bit field, or the generic address that replaces it where it exists and
// is an I/O port. 0: none, or not in I/O space.
uint32_t io_block(const Bytes& fadt, size_t field, size_t generic) {
    uint64_t port = fadt.read<uint32_t>(field);
    if (fadt.read<uint8_t>(generic) == kIoSpace && fadt.read<uint64_t>(generic + 4) != 0)
        port = fadt.read<uint64_t>(generic + 4);
    return port <= 0xffff ? static_cast<uint32_t>(port) : 0;
}

// Events, legacy mode and the power-management timer.
void read_fadt_events(const Bytes& fadt, abi::BootAcpi& acpi) {
    constexpr uint32_t kTimerIs32Bits = 1 << 8;
    acpi.fadt_flags = fadt.read<uint32_t>(112);
    const uint32_t event_bytes = fadt.read<uint8_t>(88);
    acpi.pm1a_event = event_bytes == 4 || event_bytes == 8 ? io_block(fadt, 56, 148) : 0;
    acpi.pm1_event_bytes = acpi.pm1a_event != 0 ? event_bytes : 0;
    const uint32_t smi_command = fadt.read<uint32_t>(48);
    acpi.smi_command = smi_command <= 0xffff ? smi_command : 0;
    acpi.acpi_enable = fadt.read<uint8_t>(52);
    acpi.pm_timer = fadt.read<uint8_t>(91) == 4 ? io_block(fadt, 76, 208) : 0;
    acpi.pm_timer_bits = acpi.pm_timer == 0 ? 0 : (acpi.fadt_flags & kTimerIs32Bits) != 0 ? 32 : 24;
}

void read_fadt(PhysicalMemory& memory, const Bytes& fadt, BootInfo& info) {
    info.pm1a_control = io_block(fadt, 64, 172);
    info.pm1b_control = io_block(fadt, 68, 184);
    read_fadt_events(fadt, info.acpi);
    const bool reset_supported = (fadt.read<uint32_t>(112) & (1 << 10)) != 0;
    if (reset_supported && fadt.read<uint8_t>(116) == kIoSpace && fadt.read<uint64_t>(120) <= 0xffff) {
        info.reset_register = fadt.read<uint64_t>(120);
        info.reset_value = fadt.read<uint8_t>(128);
    }
    uint64_t dsdt = fadt.read<uint64_t>(140);
    if (dsdt == 0) dsdt = fadt.read<uint32_t>(40);
    const Bytes aml = load_table(memory, dsdt);
    if (aml) read_s5(aml, info);
}

// The System Control Interrupt is level, active low, also as an ISA interrupt (5.2.9); an override says
// otherwise only where it does not say "as the bus has it" (5.2.12.5).
void read_sci(const Bytes& fadt, const Bytes& madt, abi::BootAcpi& acpi) {
    const uint32_t source = fadt.read<uint16_t>(46);
    acpi.sci_gsi = source;
    acpi.sci_flags = abi::kIrqLevel | abi::kIrqLow;
    for (size_t at = 44; madt.has(at, 2);) {
        const uint8_t type = madt.read<uint8_t>(at), length = madt.read<uint8_t>(at + 1);
        if (length < 2 || !madt.has(at, length)) break;
        if (type == 2 && length >= 10 && madt.read<uint8_t>(at + 3) == source) {
            const uint16_t mps = madt.read<uint16_t>(at + 8);
            acpi.sci_gsi = madt.read<uint32_t>(at + 4);
            acpi.sci_flags = ((mps & 3) == 1 ? 0u : uint32_t{abi::kIrqLow}) |
                             ((mps >> 2 & 3) == 1 ? 0u : uint32_t{abi::kIrqLevel});
        }
        at += length;
    }
}

// -- What is only reported or offered to user level: IOMMUs, the HPET

// How many structures of a type follow the header, which is as long in both tables. `wide`: types are 16 bits
// (DMAR), not 8 (IVRS).
uint32_t count_structures(const Bytes& table, bool wide, uint16_t wanted) {
    uint32_t count = 0;
    for (size_t at = 48; table.has(at, 4);) {
        const uint16_t type = wide ? table.read<uint16_t>(at) : table.read<uint8_t>(at),
                       length = table.read<uint16_t>(at + 2);
        if (length < 4 || !table.has(at, length)) break;
        count += type == wanted;
        at += length;
    }
    return count;
}

void read_extras(PhysicalMemory& memory, const Bytes& root, size_t entry_bytes, abi::BootAcpi& acpi) {
    constexpr uint8_t kMemorySpace = 0;
    // DRHD is type 0 (VT-d specification 8.2); an AMD IOMMU has an IVHD of type 0x10, and newer ones of type
    // 0x11 and 0x40 for the same unit (AMD IOMMU specification 5.2.2).
    if (const Bytes dmar = find_table(memory, root, entry_bytes, "DMAR"))
        acpi.dmar_units = count_structures(dmar, true, 0);
    if (const Bytes ivrs = find_table(memory, root, entry_bytes, "IVRS"))
        acpi.ivrs_units = count_structures(ivrs, false, 0x10);
    const Bytes hpet = find_table(memory, root, entry_bytes, "HPET");
    if (hpet && hpet.read<uint8_t>(40) == kMemorySpace && hpet.read<uint64_t>(44) % abi::kPageSize == 0)
        acpi.hpet = hpet.read<uint64_t>(44);
}

bool valid_rsdp(PhysicalMemory& memory, uint64_t physical) {
    const uint8_t* data = memory.map(physical, 20);
    if (data == nullptr) return false;
    const Bytes rsdp{data, 20};
    return rsdp.is(0, "RSD PTR ", 8) && rsdp.sums_to_zero(20);
}

}  // namespace

const char* acpi_result_text(AcpiResult result) {
    switch (result) {
        case AcpiResult::Ok: return "ok";
        case AcpiResult::NoRsdp: return "firmware offers no ACPI root pointer (RSDP)";
        case AcpiResult::BadRsdp: return "the ACPI root pointer (RSDP) is damaged";
        case AcpiResult::NoRoot: return "the ACPI root table (RSDT or XSDT) is missing or damaged";
        case AcpiResult::NoMadt:
            return "the ACPI table of interrupt controllers (MADT) is missing or damaged";
        case AcpiResult::BadMadt: return "the ACPI table of interrupt controllers (MADT) names no I/O APIC";
    }
    return "";
}

uint64_t find_rsdp(PhysicalMemory& memory) {
    const auto scan = [&memory](uint64_t from, uint64_t to) -> uint64_t {
        for (uint64_t at = from; at + 20 <= to; at += 16)
            if (valid_rsdp(memory, at)) return at;
        return 0;
    };
    if (const uint8_t* word = memory.map(0x40e, 2)) {
        const uint64_t ebda = uint64_t{Bytes{word, 2}.read<uint16_t>(0)} << 4;
        if (ebda >= 0x400 && ebda < 0xa0000)
            if (const uint64_t found = scan(ebda, ebda + 1024)) return found;
    }
    return scan(0xe0000, 0x100000);
}

AcpiResult parse_acpi(PhysicalMemory& memory, uint64_t rsdp_address, uint32_t boot_apic_id, BootInfo& info) {
    info.rsdp = rsdp_address;
    info.ioapics = info.overrides = 0;
    info.acpi = {};
    if (rsdp_address == 0) return AcpiResult::NoRsdp;
    if (!valid_rsdp(memory, rsdp_address)) return AcpiResult::BadRsdp;
    const Bytes first{memory.map(rsdp_address, 20), 20};
    Bytes root;
    size_t entry_bytes = 4;
    if (first.read<uint8_t>(15) >= 2) {
        const uint8_t* whole = memory.map(rsdp_address, 36);
        if (whole != nullptr && Bytes{whole, 36}.sums_to_zero(36)) {
            root = load_table(memory, Bytes{whole, 36}.read<uint64_t>(24));
            if (root && !root.is(0, "XSDT", 4)) root = {};
            entry_bytes = 8;
        }
    }
    if (!root) {
        root = load_table(memory, first.read<uint32_t>(16));
        if (root && !root.is(0, "RSDT", 4)) root = {};
        entry_bytes = 4;
    }
    if (!root) return AcpiResult::NoRoot;
    const Bytes fadt = find_table(memory, root, entry_bytes, "FACP");
    if (fadt) read_fadt(memory, fadt, info);
    const Bytes madt = find_table(memory, root, entry_bytes, "APIC");
    read_extras(memory, root, entry_bytes, info.acpi);
    if (!madt) return AcpiResult::NoMadt;
    read_madt(madt, boot_apic_id, info);
    if (fadt) read_sci(fadt, madt, info.acpi);
    return info.ioapics != 0 ? AcpiResult::Ok : AcpiResult::BadMadt;
}

}  // namespace bulkhead::boot
