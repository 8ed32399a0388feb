// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/multiboot.hpp"

namespace bulkhead::init {

using abi::BootInfo;
using abi::BootModule;
using abi::MemoryType;

namespace {

struct [[gnu::packed]] Info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
        mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table, vbe[4];
    uint64_t framebuffer_addr;
    uint32_t framebuffer_pitch, framebuffer_width, framebuffer_height;
    uint8_t framebuffer_bpp, framebuffer_type;
    uint8_t colour[6];  // position and bits of red, green, blue
};
static_assert(sizeof(Info) == 116);
constexpr size_t kInfoWithoutScreen = 88;
struct [[gnu::packed]] Entry {
    uint32_t size;
    uint64_t base, length;
    uint32_t type;
};
struct Module {
    uint32_t start, end, text, reserved;
};

constexpr uint32_t kHasOptions = 1 << 2, kHasModules = 1 << 3, kHasMap = 1 << 6, kHasLoader = 1 << 9,
                   kHasScreen = 1 << 12;
constexpr uint32_t kMostModules = sizeof(BootInfo::module) / sizeof(BootModule);
constexpr size_t kLongestText = sizeof(BootInfo::options);

template <typename T>
bool read(boot::PhysicalMemory& memory, uint64_t physical, T& to, size_t bytes = sizeof(T)) {
    const uint8_t* from = memory.map(physical, bytes);
    if (from != nullptr) __builtin_memcpy(&to, from, bytes);
    return from != nullptr;
}

// A text that ends somewhere: the bytes up to its NUL, the limit, or the end of memory.
struct Text {
    const char* data = "";
    size_t bytes = 0;
};
Text text_at(boot::PhysicalMemory& memory, uint64_t physical) {
    Text text;
    while (text.bytes < kLongestText) {
        const uint8_t* from = memory.map(physical, text.bytes + 1);
        if (from == nullptr || from[text.bytes] == '\0') break;
        text.data = reinterpret_cast<const char*>(from);
        ++text.bytes;
    }
    return text;
}

const char* read_modules(boot::PhysicalMemory& memory, const Info& mbi, BootInfo& info) {
    for (uint32_t i = 0; i < mbi.mods_count; ++i) {
        Module m;
        if (i > kMostModules || !read(memory, uint64_t{mbi.mods_addr} + i * sizeof(m), m))
            return "the boot loader's list of modules is damaged";
        const Text text = text_at(memory, m.text);
        if (const char* why = add_module(info, m.start, m.end, text.data, text.bytes)) return why;
    }
    return nullptr;
}

const char* read_map(boot::PhysicalMemory& memory, const Info& mbi, boot::MemoryMap& map) {
    if ((mbi.flags & kHasMap) == 0) return "the boot loader passes no memory map";
    Entry e;
    for (uint64_t at = 0; at + sizeof(e) <= mbi.mmap_length; at += uint64_t{e.size} + sizeof(e.size)) {
        if (!read(memory, mbi.mmap_addr + at, e) || e.size < sizeof(e) - sizeof(e.size) ||
            !map.add(e.base, e.length, multiboot_memory_type(e.type)))
            return "the memory map is damaged, or has too many entries";
    }
    return nullptr;
}

bool same(const char* a, const char* b) {
    return __builtin_strcmp(a, b) == 0;
}

// Who needs a name gets it by what it holds, unless its own text gives it another known one.
void name_by_contents(boot::PhysicalMemory& memory, BootInfo& info, const char* name, const char* magic) {
    for (uint32_t i = 0; i < info.modules; ++i)
        if (same(info.module[i].name, name)) return;
    const size_t bytes = __builtin_strlen(magic);
    for (uint32_t i = 0; i < info.modules; ++i) {
        BootModule& m = info.module[i];
        if (same(m.name, "manifest") || same(m.name, "bootfs") || same(m.name, "ucode")) continue;
        const uint8_t* data = m.size >= bytes ? memory.map(m.base, bytes) : nullptr;
        if (data == nullptr || __builtin_memcmp(data, magic, bytes) != 0) continue;
        set_text(m.name, sizeof(m.name), name, __builtin_strlen(name));
        return;
    }
}

// Page 0 and the BIOS data area belong to nobody; the legacy hole is what it is.
const char* claim_memory(boot::MemoryMap& map, BootInfo& info) {
    map.add(0, abi::kPageSize, MemoryType::Reserved);
    map.add(0xa0000, 0x60000, MemoryType::Reserved);
    map.add(info.kernel_base, info.kernel_size, MemoryType::Kernel);
    for (uint32_t i = 0; i < info.modules; ++i)
        map.add(info.module[i].base, info.module[i].size, MemoryType::Module);
    info.ranges =
        static_cast<uint32_t>(map.normalise(info.range, sizeof(info.range) / sizeof(info.range[0])));
    return info.ranges != 0 ? nullptr : "the memory map has too many entries";
}

}  // namespace

MemoryType multiboot_memory_type(uint32_t type) {
    switch (type) {
        case 1: return MemoryType::Free;
        case 3: return MemoryType::AcpiReclaim;
        case 4: return MemoryType::AcpiNvs;
        case 5: return MemoryType::Bad;
        default: return MemoryType::Reserved;
    }
}

void set_text(char* to, size_t capacity, const char* from, size_t bytes) {
    size_t n = 0;
    for (; n + 1 < capacity && n < bytes && from[n] != '\0'; ++n) to[n] = from[n];
    to[n] = '\0';
}

const char* add_module(BootInfo& info, uint64_t start, uint64_t end, const char* text, size_t bytes) {
    if (info.modules == kMostModules) return "there are more than 16 boot modules";
    if (start % abi::kPageSize != 0 || end < start) return "a boot module is not page-aligned";
    if (start < info.kernel_base + info.kernel_size && end > info.kernel_base)
        return "the boot loader put a boot module over the kernel";
    BootModule& m = info.module[info.modules++];
    m.base = start;
    m.size = end - start;
    // The last word, from behind its last slash to its first dot.
    size_t begin = 0, length = 0;
    for (; length < bytes && text[length] != '\0'; ++length)
        if ((text[length] == ' ' || text[length] == '/') && length + 1 < bytes && text[length + 1] != ' ' &&
            text[length + 1] != '\0')
            begin = length + 1;
    size_t stop = begin;
    while (stop < length && text[stop] != '.' && text[stop] != ' ') ++stop;
    set_text(m.name, sizeof(m.name), text + begin, stop - begin);
    return nullptr;
}

void name_modules(boot::PhysicalMemory& memory, BootInfo& info) {
    name_by_contents(memory, info, "manifest", "\xd0\x0d\xfe\xed");
    name_by_contents(memory, info, "bootfs", "070701");
}

// GRUB 2 passes the options alone, all others the image's name before them.
void drop_image_name(BootInfo& info) {
    if (__builtin_memcmp(info.loader, "GRUB 2", 6) == 0) return;
    size_t at = 0;
    while (info.options[at] != '\0' && info.options[at] != ' ') ++at;
    while (info.options[at] == ' ') ++at;
    __builtin_memmove(info.options, info.options + at, sizeof(info.options) - at);
}

const char* read_multiboot1(boot::PhysicalMemory& memory, uint64_t address, boot::MemoryMap& map,
                            BootInfo& info) {
    Info mbi{};
    if (!read(memory, address, mbi, kInfoWithoutScreen))
        return "the boot loader's Multiboot information is damaged";
    if ((mbi.flags & kHasOptions) != 0) {
        const Text options = text_at(memory, mbi.cmdline);
        set_text(info.options, sizeof(info.options), options.data, options.bytes);
    }
    if ((mbi.flags & kHasLoader) != 0) {
        const Text loader = text_at(memory, mbi.boot_loader_name);
        set_text(info.loader, sizeof(info.loader), loader.data, loader.bytes);
    }
    if ((mbi.flags & kHasScreen) != 0 && read(memory, address, mbi) && mbi.framebuffer_type == 1)
        info.framebuffer = {mbi.framebuffer_addr,  mbi.framebuffer_width, mbi.framebuffer_height,
                            mbi.framebuffer_pitch, mbi.framebuffer_bpp,   mbi.colour[0],
                            mbi.colour[1],         mbi.colour[2],         mbi.colour[3],
                            mbi.colour[4],         mbi.colour[5],         {}};
    if ((mbi.flags & kHasModules) != 0)
        if (const char* why = read_modules(memory, mbi, info)) return why;
    return read_map(memory, mbi, map);
}

const char* read_multiboot(boot::PhysicalMemory& memory, uint32_t magic, uint64_t address,
                           const FirmwareMap& firmware, uint32_t boot_apic_id, boot::MemoryMap& map,
                           BootInfo& info) {
    info.magic = abi::kBootInfoMagic;
    info.version = abi::kAbiVersion;
    info.size = sizeof(BootInfo);
    const char* why = magic == kMultiboot2Magic ? read_multiboot2(memory, address, firmware, map, info)
                                                : read_multiboot1(memory, address, map, info);
    if (why != nullptr) return why;
    drop_image_name(info);
    name_modules(memory, info);
    abi::BootFramebuffer& screen = info.framebuffer;
    // GRUB does not count the unused byte of a UEFI firmware's pixels.
    if (screen.bits == 24 && screen.pitch / 4 >= screen.width) screen.bits = 32;
    const uint64_t rsdp = info.rsdp != 0 ? info.rsdp : boot::find_rsdp(memory);
    const boot::AcpiResult acpi = boot::parse_acpi(memory, rsdp, boot_apic_id, info);
    if (acpi != boot::AcpiResult::Ok) return boot::acpi_result_text(acpi);
    return claim_memory(map, info);
}

}  // namespace bulkhead::init
