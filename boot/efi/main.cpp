// SPDX-License-Identifier: Apache-2.0
// bulkhead.efi: reads bulkhead.cfg beside it, loads what that names, and hands over one BootInfo to the
// kernel.
#include "boot/acpi/acpi.hpp"
#include "boot/config/config.hpp"
#include "boot/efi/files.hpp"
#include "boot/efi/handover.hpp"
#include "boot/efi/kernel_image.hpp"
#include "kernel/arch/x86_64/entry_contract.hpp"

namespace bulkhead::boot {
namespace {

constexpr std::string_view kConfigName = "bulkhead.cfg";
constexpr uint64_t kPage = 4096, kFourGiB = uint64_t{1} << 32;
constexpr uint64_t kModuleAlignment = uint64_t{2} << 20;  // so that user level can map modules by large pages

EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
EFI_GUID acpi1_guid = ACPI_TABLE_GUID;
EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;

// While the firmware's page tables are in force, all memory is mapped at its physical address.
class IdentityMemory final : public PhysicalMemory {
  public:
    const uint8_t* map(uint64_t physical, size_t bytes) override {
        return physical == 0 || bytes > ~physical ? nullptr : reinterpret_cast<const uint8_t*>(physical);
    }
};

bool same(const EFI_GUID& a, const EFI_GUID& b) {
    return __builtin_memcmp(&a, &b, sizeof a) == 0;
}

uint64_t find_acpi() {
    uint64_t old = 0;
    for (UINTN i = 0; i < ST->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE& table = ST->ConfigurationTable[i];
        if (same(table.VendorGuid, acpi2_guid)) return reinterpret_cast<uint64_t>(table.VendorTable);
        if (same(table.VendorGuid, acpi1_guid)) old = reinterpret_cast<uint64_t>(table.VendorTable);
    }
    return old;
}

uint32_t boot_apic_id() {
    uint32_t eax = 1, ebx, ecx = 0, edx;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx >> 24;
}

template <size_t N>
void set_text(char (&field)[N], std::string_view text, Where where, std::string_view what) {
    if (text.size() >= N) fail(where, "the text is too long:", what);
    __builtin_memcpy(field, text.data(), text.size());
    field[text.size()] = '\0';
}

void add_module(abi::BootInfo& info, const Loaded& file, std::string_view name, Where where) {
    abi::BootModule& module = info.module[info.modules];
    for (uint32_t i = 0; i < info.modules; i++)
        if (std::string_view{info.module[i].name} == name) fail(where, "two modules have the name", name);
    module.base = file.base;
    module.size = file.size;
    set_text(module.name, name, where, name);
    info.modules++;
}

// What a module is called: what stands behind its file name, else the file's own name without directory and
// ending.
std::string_view module_name(const FileLine& line) {
    std::string_view name = line.arguments;
    if (!name.empty()) return name;
    name = line.file;
    for (size_t i = name.size(); i-- > 0;)
        if (name[i] == '/' || name[i] == '\\') {
            name.remove_prefix(i + 1);
            break;
        }
    for (size_t i = 0; i < name.size(); i++)
        if (name[i] == '.') return {name.data(), i};
    return name;
}

Config read_config(Volume& volume, std::string_view section) {
    const Loaded file = volume.read(kConfigName, {}, kPage);
    const ConfigResult result = parse_config(file.text(), section);
    if (!result.ok) fail({kConfigName, result.error.line}, result.error.message, result.error.word);
    return result.config;
}

uint64_t load_kernel(Volume& volume, const FileLine& line, abi::BootInfo& info) {
    const Where where{kConfigName, line.line};
    const Loaded file = volume.read(line.file, where, kPage);
    const std::span<const uint8_t> bytes{reinterpret_cast<const uint8_t*>(file.base), file.size};
    const KernelLayout layout = check_kernel(bytes);
    if (layout.error) fail(where, layout.error, line.file);
    info.kernel_base = allocate_pages(layout.bytes / kPage, arch::kKernelBaseAlignment, kFourGiB,
                                      EfiLoaderCode, "the kernel");
    info.kernel_size = layout.bytes;
    auto* memory = reinterpret_cast<uint8_t*>(info.kernel_base);
    __builtin_memset(memory, 0, layout.bytes);
    place_kernel(bytes, memory);
    return info.kernel_base + layout.entry_offset;
}

struct Field {
    uint8_t position, bits;
};

Field field(uint32_t mask) {
    if (mask == 0) return {0, 0};
    const int low = __builtin_ctz(mask), high = 32 - __builtin_clz(mask);
    return {static_cast<uint8_t>(low), static_cast<uint8_t>(high - low)};
}

// UEFI 2.10, 12.9.2: the masks are given only where the format has no name; PixelBltOnly has no memory.
void describe_screen(abi::BootInfo& info) {
    EFI_GRAPHICS_OUTPUT_PROTOCOL* graphics = nullptr;
    if (EFI_ERROR(BS->LocateProtocol(&graphics_guid, nullptr, reinterpret_cast<void**>(&graphics)))) return;
    const auto& mode = *graphics->Mode->Info;
    EFI_PIXEL_BITMASK mask{0xff0000, 0xff00, 0xff, 0xff000000};
    if (mode.PixelFormat == PixelRedGreenBlueReserved8BitPerColor)
        mask = {0xff, 0xff00, 0xff0000, 0xff000000};
    else if (mode.PixelFormat == PixelBitMask)
        mask = mode.PixelInformation;
    else if (mode.PixelFormat != PixelBlueGreenRedReserved8BitPerColor)
        return;
    const uint32_t used = mask.RedMask | mask.GreenMask | mask.BlueMask | mask.ReservedMask;
    if (used == 0) return;
    const uint32_t bits = (32 - static_cast<uint32_t>(__builtin_clz(used)) + 7) & ~uint32_t{7};
    const Field red = field(mask.RedMask), green = field(mask.GreenMask), blue = field(mask.BlueMask);
    info.framebuffer = {.base = graphics->Mode->FrameBufferBase,
                        .width = mode.HorizontalResolution,
                        .height = mode.VerticalResolution,
                        .pitch = mode.PixelsPerScanLine * bits / 8,
                        .bits = bits,
                        .red_position = red.position,
                        .red_bits = red.bits,
                        .green_position = green.position,
                        .green_bits = green.bits,
                        .blue_position = blue.position,
                        .blue_bits = blue.bits,
                        .reserved = {}};
}

}  // namespace
}  // namespace bulkhead::boot

extern "C" EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* table) {
    using namespace bulkhead;
    using namespace bulkhead::boot;
    InitializeLib(image, table);
    set_exit(image);
    BS->SetWatchdogTimer(0, 0, 0, nullptr);

    Volume volume{image};
    const Config config = read_config(volume, {});
    print("Bulkhead: loading section '");
    print(config.section);
    print("'\n");

    auto& info = *reinterpret_cast<abi::BootInfo*>(allocate_pages(
        (sizeof(abi::BootInfo) + kPage - 1) / kPage, kPage, kFourGiB, EfiLoaderData, "the boot information"));
    __builtin_memset(&info, 0, sizeof info);
    info.magic = abi::kBootInfoMagic;
    info.version = abi::kAbiVersion;
    info.size = sizeof info;
    set_text(info.options, config.options, {kConfigName, 0}, "options=");
    set_text(info.loader, "bulkhead.efi", {}, "loader");

    const uint64_t entry = load_kernel(volume, config.kernel, info);
    if (!config.ramdisk.file.empty()) {
        const Where where{kConfigName, config.ramdisk.line};
        add_module(info, volume.read(config.ramdisk.file, where, kModuleAlignment), "bootfs", where);
    }
    for (size_t i = 0; i < config.modules; i++) {
        const Where where{kConfigName, config.module[i].line};
        add_module(info, volume.read(config.module[i].file, where, kModuleAlignment),
                   module_name(config.module[i]), where);
    }

    IdentityMemory memory;
    info.rsdp = find_acpi();
    if (const AcpiResult acpi = parse_acpi(memory, info.rsdp, boot_apic_id(), info); acpi != AcpiResult::Ok)
        fail({}, acpi_result_text(acpi));
    describe_screen(info);
    hand_over(image, info, entry);
}
