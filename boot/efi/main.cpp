// SPDX-License-Identifier: Apache-2.0
// bulkhead.efi: reads its configuration, loads what that names, and hands over one BootInfo to the kernel.
#include "boot/acpi/acpi.hpp"
#include "boot/efi/configuration.hpp"
#include "boot/efi/handover.hpp"
#include "boot/efi/loading.hpp"
#include "boot/efi/request.hpp"
#include "boot/efi/screen.hpp"
#include "boot/options/options.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kPage = 4096, kFourGiB = uint64_t{1} << 32;

EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
EFI_GUID acpi1_guid = ACPI_TABLE_GUID;

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

void append(char (&field)[sizeof(abi::BootInfo::options)], std::string_view text, Where where) {
    size_t used = std::string_view{field}.size();
    if (text.empty()) return;
    if (text.size() + 2 > sizeof field - used)
        fail(where, "the hypervisor's options are longer than 1023 characters");
    if (used) field[used++] = ' ';
    __builtin_memcpy(field + used, text.data(), text.size());  // BootInfo is zeroed: the text ends
}

abi::BootInfo& new_boot_info() {
    const uint64_t pages = (sizeof(abi::BootInfo) + kPage - 1) / kPage;
    auto& info = *reinterpret_cast<abi::BootInfo*>(
        allocate_pages(pages, kPage, kFourGiB, EfiLoaderData, "the boot information"));
    __builtin_memset(&info, 0, sizeof info);
    info.magic = abi::kBootInfoMagic;
    info.version = abi::kAbiVersion;
    info.size = sizeof info;
    constexpr std::string_view kName = "bulkhead.efi";
    __builtin_memcpy(info.loader, kName.data(), kName.size());
    return info;
}

Arguments checked_arguments(EFI_HANDLE image, const EFI_LOADED_IMAGE_PROTOCOL& self) {
    bool from_shell = false;
    const Arguments arguments = read_arguments(image, self, &from_shell);
    if (arguments.help) {
        print(kUsage);
        leave(EFI_SUCCESS, !from_shell);
    }
    if (arguments.error) fail({}, arguments.error, arguments.word);
    if (!arguments.unknown.empty())
        note({}, "ignored is the unknown option (known: -cfg=FILE, -basevideo, -help)", arguments.unknown);
    return arguments;
}

// The configuration's own video= counts before the option that Xen gives to its other loaders.
void choose_video_mode(const Configuration& configuration, const abi::BootInfo& info) {
    const FileLine& video = configuration.config.video;
    NoComplaints untold;
    if (video.file.empty())
        set_video_mode(parse_options(info.options, untold).vga);
    else
        set_video_mode(video, configuration.at(video));
}

}  // namespace
}  // namespace bulkhead::boot

extern "C" EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* table) {
    using namespace bulkhead;
    using namespace bulkhead::boot;
    InitializeLib(image, table);
    set_exit(image);
    BS->SetWatchdogTimer(0, 0, 0, nullptr);

    EFI_LOADED_IMAGE_PROTOCOL& self = loaded_image(image);
    Arguments arguments = checked_arguments(image, self);
    const EmbeddedFiles embedded =
        find_embedded({static_cast<const uint8_t*>(self.ImageBase), self.ImageSize});
    if (embedded.error) fail({}, embedded.error);
    static Volume volume{self};
    if (secure_boot()) {
        // What the signature does not cover could be anybody's.
        volume.lock(
            "Secure Boot is on, so only files inside the signed image are used (docs/boot.md), and not");
        if (!arguments.hypervisor.empty())
            note({}, "Secure Boot is on; ignored are the options", arguments.hypervisor);
        arguments.hypervisor = {};
    }
    const Configuration configuration = read_configuration(volume, embedded, arguments);
    const Config& config = configuration.config;
    print("Bulkhead: loading ");
    print(config.section.empty() ? "what comes first" : config.section);
    print(" of ");
    print(configuration.name);
    print("\n");

    abi::BootInfo& info = new_boot_info();
    append(info.options, config.options.file, configuration.at(config.options));
    append(info.options, config.kernel.arguments, configuration.at(config.kernel));
    append(info.options, arguments.hypervisor, {});
    print("Bulkhead: options '");
    print(info.options);
    print("'\n");
    const uint64_t entry = load_kernel(volume, embedded, configuration, info);
    load_modules(volume, embedded, configuration, info);

    IdentityMemory memory;
    info.rsdp = find_acpi();
    if (const AcpiResult acpi = parse_acpi(memory, info.rsdp, boot_apic_id(), info); acpi != AcpiResult::Ok)
        fail({}, acpi_result_text(acpi));
    if (!arguments.base_video) choose_video_mode(configuration, info);
    describe_screen(info);
    hand_over(image, info, entry);
}
