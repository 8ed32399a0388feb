// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/multiboot2.hpp"

#include "boot/memmap/efi_map.hpp"
#include "kernel/init/multiboot.hpp"

namespace bulkhead::init {

using abi::BootInfo;
using abi::MemoryType;

namespace {

constexpr uint32_t kHeader = 8;  // of the whole, and of each tag

uint32_t word(const uint8_t* at) {
    uint32_t value;
    __builtin_memcpy(&value, at, sizeof(value));
    return value;
}

}  // namespace

Multiboot2Tags::Multiboot2Tags(boot::PhysicalMemory& memory, uint64_t address) {
    const uint8_t* header = memory.map(address, kHeader);
    if (header == nullptr) return;
    const uint32_t size = word(header);
    if (size < 2 * kHeader || size > kLargest) return;
    data_ = memory.map(address, size);
    size_ = size;
    physical_ = address;
    if (data_ != nullptr && !walk()) data_ = nullptr;
}

// Is every tag inside, and the last one the end?
bool Multiboot2Tags::walk() {
    for (uint32_t at = kHeader; size_ - at >= kHeader;) {
        const uint32_t type = word(data_ + at), size = word(data_ + at + 4);
        if (size < kHeader || size > size_ - at) return false;
        if (type == static_cast<uint32_t>(Tag::End)) return true;
        const uint32_t step = (size + 7) & ~7u;
        if (step > size_ - at) return false;
        at += step;
    }
    return false;
}

TagData Multiboot2Tags::find(Tag wanted, size_t index) const {
    if (data_ == nullptr) return {};
    for (uint32_t at = kHeader;;) {
        const uint32_t type = word(data_ + at), size = word(data_ + at + 4);
        if (type == static_cast<uint32_t>(Tag::End)) return {};
        if (type == static_cast<uint32_t>(wanted) && index-- == 0)
            return {data_ + at + kHeader, size - kHeader, physical_ + at + kHeader};
        at += (size + 7) & ~7u;
    }
}

namespace {

void text(const Multiboot2Tags& tags, Tag tag, char* to, size_t capacity) {
    if (const TagData found = tags.find(tag))
        set_text(to, capacity, reinterpret_cast<const char*>(found.data), found.size);
}

const char* read_modules(const Multiboot2Tags& tags, BootInfo& info) {
    for (size_t i = 0;; ++i) {
        const TagData module = tags.find(Tag::Module, i);
        if (!module) return nullptr;
        if (!module.has(0, 8)) return "the boot loader's list of modules is damaged";
        if (const char* why = add_module(info, module.read<uint32_t>(0), module.read<uint32_t>(4),
                                         reinterpret_cast<const char*>(module.data + 8), module.size - 8))
            return why;
    }
}

void read_framebuffer(const Multiboot2Tags& tags, BootInfo& info) {
    constexpr uint8_t kDirectColour = 1;
    const TagData screen = tags.find(Tag::Framebuffer);
    if (!screen.has(0, 30) || screen.read<uint8_t>(21) != kDirectColour) return;
    info.framebuffer = {screen.read<uint64_t>(0), screen.read<uint32_t>(12), screen.read<uint32_t>(16),
                        screen.read<uint32_t>(8), screen.read<uint8_t>(20),  screen.read<uint8_t>(24),
                        screen.read<uint8_t>(25), screen.read<uint8_t>(26),  screen.read<uint8_t>(27),
                        screen.read<uint8_t>(28), screen.read<uint8_t>(29),  {}};
}

bool read_map(const TagData& tag, boot::MemoryMap& map) {
    const size_t each = tag.read<uint32_t>(0);
    if (!tag.has(0, 8) || each < 24) return false;
    for (size_t at = 8; tag.has(at, each); at += each)
        if (!map.add(tag.read<uint64_t>(at), tag.read<uint64_t>(at + 8),
                     multiboot_memory_type(tag.read<uint32_t>(at + 16))))
            return false;
    return true;
}

// The firmware's own words are finer than what the loader makes of them.
const char* read_memory(const Multiboot2Tags& tags, const FirmwareMap& firmware, boot::MemoryMap& map) {
    bool whole = false;
    const TagData efi = tags.find(Tag::EfiMemoryMap), plain = tags.find(Tag::MemoryMap);
    if (firmware.bytes != 0)
        whole = boot::add_efi_map(map, firmware.descriptors, firmware.bytes, firmware.each);
    else if (efi.has(0, 8))
        whole = boot::add_efi_map(map, efi.data + 8, efi.size - 8, efi.read<uint32_t>(0));
    else if (plain)
        whole = read_map(plain, map);
    else
        return "the boot loader passes no memory map";
    return whole ? nullptr : "the memory map is damaged, or has too many entries";
}

// The tag holds a copy: its page must last as the ACPI tables do.
void read_rsdp(const Multiboot2Tags& tags, boot::MemoryMap& map, BootInfo& info) {
    TagData rsdp = tags.find(Tag::NewRsdp);
    if (!rsdp) rsdp = tags.find(Tag::OldRsdp);
    if (!rsdp) return;
    info.rsdp = rsdp.physical;
    map.add(rsdp.physical, rsdp.size, MemoryType::AcpiReclaim);
}

}  // namespace

const char* read_multiboot2(boot::PhysicalMemory& memory, uint64_t address, const FirmwareMap& firmware,
                            boot::MemoryMap& map, BootInfo& info) {
    const Multiboot2Tags tags{memory, address};
    if (!tags.whole()) return "the boot loader's Multiboot 2 information is damaged";
    if (tags.find(Tag::EfiBootServices) && firmware.bytes == 0)
        return "the boot loader leaves the UEFI boot services running, but entered the kernel in 32-bit mode";
    text(tags, Tag::CommandLine, info.options, sizeof(info.options));
    text(tags, Tag::LoaderName, info.loader, sizeof(info.loader));
    read_framebuffer(tags, info);
    read_rsdp(tags, map, info);
    if (const char* why = read_modules(tags, info)) return why;
    return read_memory(tags, firmware, map);
}

}  // namespace bulkhead::init
