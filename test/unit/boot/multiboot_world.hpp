// SPDX-License-Identifier: Apache-2.0
// Physical memory of a machine that a Multiboot loader has filled: ACPI tables, modules, and the loader's
// information.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "boot/acpi/acpi.hpp"

namespace multiboot_test {

using Bytes = std::vector<uint8_t>;

// Only what was put there can be read.
class Memory final : public bulkhead::boot::PhysicalMemory {
  public:
    const uint8_t* map(uint64_t physical, size_t bytes) override {
        auto after = pieces_.upper_bound(physical);
        if (after == pieces_.begin()) return nullptr;
        const auto& [at, piece] = *std::prev(after);
        const uint64_t offset = physical - at;
        return offset <= piece.size() && bytes <= piece.size() - offset ? piece.data() + offset : nullptr;
    }
    void put(uint64_t physical, Bytes bytes) { pieces_[physical] = std::move(bytes); }

  private:
    std::map<uint64_t, Bytes> pieces_;
};

template <typename T>
void append(Bytes& to, T value) {
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    to.insert(to.end(), from, from + sizeof(T));
}
inline void append(Bytes& to, std::string_view text) {
    to.insert(to.end(), text.begin(), text.end());
}

inline void fix_sum(Bytes& table, size_t at, size_t bytes) {
    uint8_t sum = 0;
    for (size_t i = 0; i < bytes; ++i) sum = static_cast<uint8_t>(sum + table[i]);
    table[at] = static_cast<uint8_t>(table[at] - sum);
}

inline Bytes acpi_table(std::string_view signature, const Bytes& body) {
    Bytes table;
    append(table, signature);
    append(table, static_cast<uint32_t>(36 + body.size()));
    table.resize(36);
    table.insert(table.end(), body.begin(), body.end());
    fix_sum(table, 9, table.size());
    return table;
}

// The least that boot needs: an RSDT with a MADT that names one CPU and one I/O APIC. Returns the old RSDP.
inline Bytes put_acpi(Memory& memory) {
    constexpr uint32_t kRsdt = 0x7fe0000, kMadt = 0x7fe1000;
    Bytes madt;
    append(madt, uint32_t{0xfee00000});
    append(madt, uint32_t{1});
    for (const uint8_t byte :
         std::initializer_list<uint8_t>{0, 8, 0, 0, 1, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0})
        madt.push_back(byte);
    memory.put(kMadt, acpi_table("APIC", madt));
    Bytes list;
    append(list, kMadt);
    memory.put(kRsdt, acpi_table("RSDT", list));
    Bytes rsdp;
    append(rsdp, std::string_view{"RSD PTR "});
    rsdp.resize(16);
    append(rsdp, kRsdt);
    fix_sum(rsdp, 8, 20);
    return rsdp;
}

// Multiboot 2 information, tag by tag.
class Tags {
  public:
    Tags& tag(uint32_t type, const Bytes& data) {
        append(bytes_, type);
        append(bytes_, static_cast<uint32_t>(8 + data.size()));
        bytes_.insert(bytes_.end(), data.begin(), data.end());
        bytes_.resize((bytes_.size() + 7) & ~size_t{7});
        return *this;
    }
    Tags& text(uint32_t type, std::string_view words) {
        Bytes data;
        append(data, words);
        data.push_back(0);
        return tag(type, data);
    }
    Tags& module(uint32_t start, uint32_t end, std::string_view words) {
        Bytes data;
        append(data, start);
        append(data, end);
        append(data, words);
        data.push_back(0);
        return tag(3, data);
    }
    Tags& memory(std::initializer_list<std::array<uint64_t, 3>> ranges, uint32_t each = 24) {
        Bytes data;
        append(data, each);
        append(data, uint32_t{0});
        for (const auto& [base, size, type] : ranges) {
            append(data, base);
            append(data, size);
            append(data, type);
            data.resize(data.size() + each - 24);
        }
        return tag(6, data);
    }
    Bytes end() const {
        Bytes whole;
        append(whole, static_cast<uint32_t>(8 + bytes_.size() + 8));
        append(whole, uint32_t{0});
        whole.insert(whole.end(), bytes_.begin(), bytes_.end());
        append(whole, uint32_t{0});
        append(whole, uint32_t{8});
        return whole;
    }

  private:
    Bytes bytes_;
};

// A UEFI memory map with this descriptor size.
inline Bytes efi_map(std::initializer_list<std::array<uint64_t, 3>> ranges, size_t each = 48) {
    Bytes data;
    for (const auto& [base, pages, type] : ranges) {
        const size_t at = data.size();
        append(data, type);
        append(data, base);
        append(data, uint64_t{0});
        append(data, pages);
        append(data, uint64_t{0xf});  // may be mapped in every way, as firmware says of ordinary memory
        data.resize(at + each);
    }
    return data;
}

}  // namespace multiboot_test
