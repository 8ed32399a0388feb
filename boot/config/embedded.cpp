// SPDX-License-Identifier: Apache-2.0
#include "boot/config/embedded.hpp"

namespace bulkhead::boot {
namespace {

// PE/COFF specification, 2 to 4.
constexpr size_t kPeOffsetAt = 0x3c, kSignature = 4, kCoffHeader = 20, kSectionHeader = 40;
constexpr size_t kSectionCountAt = 2, kOptionalSizeAt = 16;
constexpr size_t kVirtualSizeAt = 8, kVirtualAddressAt = 12, kRawSizeAt = 16;

// What the loader itself is made of, and what signing and Xen's recipe add that is no file of ours.
constexpr std::string_view kNoFiles[] = {".text", ".rodata",  ".data",    ".sdata",   ".bss",    ".reloc",
                                         ".rel",  ".rela",    ".dynamic", ".dynsym",  ".dynstr", ".eh_fram",
                                         ".sbat", ".comment", ".pad",     ".buildid", ".hash",   ".gnu.has"};

uint32_t read(std::span<const uint8_t> image, size_t at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= static_cast<uint32_t>(image[at + i]) << (8 * i);
    return value;
}

std::string_view section_name(std::span<const uint8_t> image, size_t at) {
    size_t length = 0;
    while (length < 8 && image[at + length] != 0) length++;
    return {reinterpret_cast<const char*>(image.data()) + at, length};
}

void take(EmbeddedFiles& files, std::string_view name, std::span<const uint8_t> data) {
    if (name.size() < 2 || name.front() != '.') return;
    for (const std::string_view no : kNoFiles)
        if (name == no) return;
    if (data.empty()) {
        files.error = "a section that was added to bulkhead.efi is empty, or lies outside of the image";
        return;
    }
    if (name == ".config" || name == ".kernel") {
        std::span<const uint8_t>& to = name == ".config" ? files.config : files.kernel;
        if (!to.empty()) files.error = "bulkhead.efi holds two sections of one name";
        to = data;
        return;
    }
    if (name == ".xsm") {
        files.error =
            "bulkhead.efi holds a section .xsm, which has no meaning here: who may do what is written in the "
            "manifest (.dtb)";
        return;
    }
    name.remove_prefix(1);
    const std::string_view module = name == "ramdisk" ? "bootfs" : name == "dtb" ? "manifest" : name;
    if (files.find(module)) files.error = "bulkhead.efi holds two sections of one name";
    if (files.modules == kMaxEmbedded) {
        files.error = "bulkhead.efi holds more than 16 modules";
        return;
    }
    files.module[files.modules++] = {module, data};
}

}  // namespace

const Embedded* EmbeddedFiles::find(std::string_view name) const {
    for (size_t i = 0; i < modules; i++)
        if (module[i].name == name) return &module[i];
    return nullptr;
}

EmbeddedFiles find_embedded(std::span<const uint8_t> image) {
    EmbeddedFiles files;
    if (image.size() < kPeOffsetAt + 4) return files;
    const size_t pe = read(image, kPeOffsetAt, 4);
    if (pe > image.size() || image.size() - pe < kSignature + kCoffHeader) return files;
    if (read(image, pe, 4) != 0x4550) return files;  // "PE\0\0"
    const size_t coff = pe + kSignature;
    const size_t count = read(image, coff + kSectionCountAt, 2);
    const size_t table = coff + kCoffHeader + read(image, coff + kOptionalSizeAt, 2);
    if (table > image.size() || (image.size() - table) / kSectionHeader < count) return files;
    for (size_t i = 0; i < count && !files.error; i++) {
        const size_t header = table + i * kSectionHeader;
        // The virtual size is what was added; the raw size is rounded up, but some tools write only that.
        const size_t virtual_size = read(image, header + kVirtualSizeAt, 4),
                     raw = read(image, header + kRawSizeAt, 4);
        const size_t size = virtual_size ? virtual_size : raw,
                     at = read(image, header + kVirtualAddressAt, 4);
        const bool inside = at <= image.size() && size <= image.size() - at;
        take(files, section_name(image, header),
             inside ? image.subspan(at, size) : std::span<const uint8_t>{});
    }
    return files;
}

}  // namespace bulkhead::boot
