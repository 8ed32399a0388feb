// SPDX-License-Identifier: Apache-2.0
#include "boot/memmap/efi_map.hpp"

namespace bulkhead::boot {
namespace {

using abi::MemoryType;

struct Descriptor {
    uint32_t type, reserved;
    uint64_t physical_start, virtual_start, pages, attribute;
};
static_assert(sizeof(Descriptor) == 40);

// EFI_MEMORY_TYPE
MemoryType type_of(uint32_t efi_type) {
    switch (efi_type) {
        case 1:
        case 2: return MemoryType::Boot;  // loader code and data
        case 3:
        case 4:                           // boot services code and data
        case 7: return MemoryType::Free;  // conventional
        case 8: return MemoryType::Bad;   // unusable
        case 9: return MemoryType::AcpiReclaim;
        case 10: return MemoryType::AcpiNvs;
        case 11:
        case 12: return MemoryType::Mmio;
        default: return MemoryType::Reserved;  // runtime services, PAL code, persistent and unaccepted memory
    }
}

// What stays the firmware's after ExitBootServices, cannot be mapped write-back, or is set aside for a
// purpose (UEFI 2.10, 7.2.3) is not ordinary memory, whatever its type.
constexpr uint64_t kWriteBack = 1 << 3, kSpecificPurpose = 1 << 18, kRuntime = uint64_t{1} << 63;

MemoryType type_of(const Descriptor& d) {
    const MemoryType type = type_of(d.type);
    if (type != MemoryType::Free && type != MemoryType::Boot) return type;
    const bool ordinary =
        (d.attribute & kWriteBack) != 0 && (d.attribute & (kSpecificPurpose | kRuntime)) == 0;
    return ordinary ? type : MemoryType::Reserved;
}

}  // namespace

bool add_efi_map(MemoryMap& map, const uint8_t* descriptors, uint64_t bytes, uint64_t each) {
    if (each < sizeof(Descriptor)) return false;
    for (uint64_t at = 0; bytes - at >= each; at += each) {
        Descriptor d;
        __builtin_memcpy(&d, descriptors + at, sizeof(d));
        const uint64_t limit = ~uint64_t{0} / abi::kPageSize;
        if (!map.add(d.physical_start, (d.pages < limit ? d.pages : limit) * abi::kPageSize, type_of(d)))
            return false;
    }
    return true;
}

}  // namespace bulkhead::boot
