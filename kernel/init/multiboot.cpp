// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/multiboot.hpp"

#include "boot/acpi/acpi.hpp"
#include "boot/memmap/memory_map.hpp"

namespace bulkhead::init {

using abi::BootInfo;
using abi::MemoryType;

namespace {

struct [[gnu::packed]] Info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
        mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};
struct [[gnu::packed]] Entry {
    uint32_t size;
    uint64_t base, length;
    uint32_t type;
};
struct Module {
    uint32_t start, end, cmdline, reserved;
};

constexpr uint32_t kHasCmdline = 1 << 2, kHasModules = 1 << 3, kHasMap = 1 << 6, kHasLoader = 1 << 9;

template <typename T>
const T* at(uint64_t physical) {
    return reinterpret_cast<const T*>(physical);
}

void copy_text(char* to, size_t capacity, uint32_t physical) {
    const char* from = at<char>(physical);
    size_t n = 0;
    for (; n + 1 < capacity && from[n] != '\0'; ++n) to[n] = from[n];
    to[n] = '\0';
}

void module_name(char (&to)[48], uint32_t physical) {
    const char* text = at<char>(physical);
    const char* word = text;
    for (const char* c = text; *c != '\0'; ++c)
        if ((*c == ' ' || *c == '/') && c[1] != '\0' && c[1] != ' ') word = c + 1;
    size_t n = 0;
    while (n + 1 < sizeof(to) && word[n] != '\0' && word[n] != ' ' && word[n] != '.') {
        to[n] = word[n];
        ++n;
    }
    to[n] = '\0';
}

// All of the low 4 GiB is identity-mapped during boot.
class IdentityMemory final : public boot::PhysicalMemory {
  public:
    const uint8_t* map(uint64_t physical, size_t bytes) override {
        constexpr uint64_t kEnd = uint64_t{1} << 32;
        return physical != 0 && physical < kEnd && bytes <= kEnd - physical
                   ? reinterpret_cast<const uint8_t*>(physical)
                   : nullptr;
    }
};

boot::MemoryMap memory_map;

const char* read_memory(const Info& mbi, BootInfo& info) {
    if ((mbi.flags & kHasMap) == 0) return "the boot loader passes no memory map";
    for (uint64_t offset = 0; offset + sizeof(Entry) <= mbi.mmap_length;) {
        const Entry& e = *at<Entry>(mbi.mmap_addr + offset);
        const MemoryType type = e.type == 1   ? MemoryType::Free
                                : e.type == 3 ? MemoryType::AcpiReclaim
                                : e.type == 4 ? MemoryType::AcpiNvs
                                : e.type == 5 ? MemoryType::Bad
                                              : MemoryType::Reserved;
        if (!memory_map.add(e.base, e.length, type)) return "the memory map has too many entries";
        offset += e.size + sizeof(e.size);
    }
    // Page 0 and the BIOS data area belong to nobody; the legacy hole is what it is.
    memory_map.add(0, 0x1000, MemoryType::Reserved);
    memory_map.add(0xa0000, 0x60000, MemoryType::Reserved);
    memory_map.add(info.kernel_base, info.kernel_size, MemoryType::Kernel);
    for (uint32_t i = 0; i < info.modules; ++i)
        memory_map.add(info.module[i].base, info.module[i].size, MemoryType::Module);
    info.ranges =
        static_cast<uint32_t>(memory_map.normalise(info.range, sizeof(info.range) / sizeof(info.range[0])));
    return info.ranges != 0 ? nullptr : "the memory map has too many entries";
}

}  // namespace

const char* read_multiboot(uint64_t address, uint64_t image_physical, uint64_t image_bytes,
                           uint32_t boot_apic_id, BootInfo& info) {
    const Info& mbi = *at<Info>(address);
    info.magic = abi::kBootInfoMagic;
    info.version = abi::kAbiVersion;
    info.size = sizeof(BootInfo);
    info.kernel_base = image_physical;
    info.kernel_size = image_bytes;
    if ((mbi.flags & kHasCmdline) != 0) copy_text(info.options, sizeof(info.options), mbi.cmdline);
    if ((mbi.flags & kHasLoader) != 0) copy_text(info.loader, sizeof(info.loader), mbi.boot_loader_name);
    if ((mbi.flags & kHasModules) != 0)
        for (uint32_t i = 0; i < mbi.mods_count && i < sizeof(info.module) / sizeof(info.module[0]); ++i) {
            const Module& m = *at<Module>(mbi.mods_addr + i * sizeof(Module));
            if (m.start % abi::kPageSize != 0 || m.end < m.start) return "a boot module is not page-aligned";
            abi::BootModule& to = info.module[info.modules++];
            to.base = m.start;
            to.size = m.end - m.start;
            module_name(to.name, m.cmdline);
        }
    IdentityMemory memory;
    const boot::AcpiResult acpi = boot::parse_acpi(memory, boot::find_rsdp(memory), boot_apic_id, info);
    if (acpi != boot::AcpiResult::Ok) return boot::acpi_result_text(acpi);
    return read_memory(mbi, info);
}

}  // namespace bulkhead::init
