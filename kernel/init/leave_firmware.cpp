// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/leave_firmware.hpp"

#include "kernel/arch/x86_64/print.hpp"
#include "kernel/core/arch.hpp"
#include "kernel/init/identity_memory.hpp"
#include "kernel/init/multiboot2.hpp"

namespace bulkhead::init {
namespace {

// As much of UEFI 2.10, 4.3 and 4.4 as this needs.
using GetMemoryMap = uint64_t(__attribute__((ms_abi)) *)(uint64_t* bytes, void* map, uint64_t* key,
                                                         uint64_t* each, uint32_t* version);
using ExitBootServices = uint64_t(__attribute__((ms_abi)) *)(void* image, uint64_t key);
using SetWatchdogTimer = uint64_t(__attribute__((ms_abi)) *)(uint64_t seconds, uint64_t code, uint64_t bytes,
                                                             const void* text);
struct BootServices {
    uint8_t header[24];
    void* before_map[4];
    GetMemoryMap get_memory_map;
    void* before_exit[21];
    ExitBootServices exit_boot_services;
    void* before_watchdog[2];
    SetWatchdogTimer set_watchdog_timer;
};
static_assert(offsetof(BootServices, get_memory_map) == 56 &&
              offsetof(BootServices, exit_boot_services) == 232 &&
              offsetof(BootServices, set_watchdog_timer) == 256);
struct SystemTable {
    uint8_t header[24];
    void* before[9];
    BootServices* boot_services;
};
static_assert(offsetof(SystemTable, boot_services) == 96);

constexpr uint64_t kMapBytes = 64 * 1024;  // more than 1300 entries
alignas(16) uint8_t map_bytes[kMapBytes];
FirmwareMap map;

[[noreturn]] void refuse(const char* why) {
    arch::uart_init();
    arch::panic(why);
}

}  // namespace

const FirmwareMap& firmware_map() {
    return map;
}

}  // namespace bulkhead::init

extern "C" void leave_firmware(uint64_t multiboot_information) {
    using namespace bulkhead::init;
    IdentityMemory memory;
    const Multiboot2Tags tags{memory, multiboot_information};
    if (!tags.find(Tag::EfiBootServices)) return;  // damaged information is read_multiboot()'s to tell
    const auto* table =
        reinterpret_cast<const SystemTable*>(tags.find(Tag::Efi64SystemTable).read<uint64_t>(0));
    const auto image = reinterpret_cast<void*>(tags.find(Tag::Efi64ImageHandle).read<uint64_t>(0));
    if (table == nullptr || image == nullptr)
        refuse("the boot loader keeps the UEFI boot services, but does not say where they are");
    const BootServices& services = *table->boot_services;
    services.set_watchdog_timer(0, 0, 0, nullptr);
    // The map may change between the two calls, also by the first attempt to exit (UEFI 2.10, 7.4.6): try
    // again with a fresh one.
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
        uint64_t key = 0;
        uint32_t version = 0;
        map.bytes = kMapBytes;
        if (services.get_memory_map(&map.bytes, map_bytes, &key, &map.each, &version) != 0)
            refuse("the firmware does not tell its memory map");
        if (services.exit_boot_services(image, key) == 0) {
            map.descriptors = map_bytes;
            return;
        }
    }
    refuse("the firmware does not let go of the machine");
}
