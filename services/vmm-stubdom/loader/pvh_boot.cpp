// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/pvh_boot.hpp"

#include <xen/arch-x86/hvm/start_info.h>
#include <xen/xen.h>

#include <algorithm>
#include <string>

#include "services/vmm-stubdom/loader/acpi_tables.hpp"
#include "services/vmm-stubdom/loader/wide_copy.hpp"

namespace bulkhead::vmm {
namespace {

static_assert(sizeof(hvm_start_info) == 56);
static_assert(sizeof(hvm_modlist_entry) == 32);
static_assert(sizeof(hvm_memmap_table_entry) == sizeof(MemoryMapEntry));

constexpr std::uint64_t kModuleListOffset = 0x100;
constexpr std::uint64_t kMemoryMapOffset = 0x400;
constexpr std::uint64_t kStringsOffset = 0x1000;
static_assert(kModuleListOffset + kMaxModules * sizeof(hvm_modlist_entry) <= kMemoryMapOffset);

// The 64 KiB below the ACPI tables, filled from the start.
class BootInfo {
  public:
    explicit BootInfo(std::span<std::byte> area) : area_(area) { wide_clear(area_.data(), area_.size()); }

    template <typename T>
    std::uint64_t put(std::uint64_t offset, const T& value) {
        std::memcpy(area_.data() + offset, &value, sizeof value);
        return kBootInfoBase + offset;
    }
    // Address of a NUL-terminated copy, 0 for an empty string: "none" in start_info.
    [[nodiscard]] Loaded<std::uint64_t> add_string(std::string_view text) {
        if (text.empty()) return 0;
        if (text.find('\0') != std::string_view::npos)
            return load_error("the kernel command line contains a NUL byte");
        if (text.size() >= area_.size() - strings_) return load_error("the kernel command line is too long");
        const std::uint64_t at = strings_;
        std::memcpy(area_.data() + at, text.data(), text.size());
        strings_ += text.size() + 1;  // the area is zero
        return kBootInfoBase + at;
    }

  private:
    std::span<std::byte> area_;
    std::uint64_t strings_ = kStringsOffset;
};

// Modules go page-aligned to the top of low RAM, the first one highest, away from whatever the kernel does
// after its own end while it starts.
Loaded<void> place_modules(const GuestMemory& memory, const PvhConfig& config, const PvhStart& start,
                           BootInfo& info, hvm_start_info& header) {
    std::uint64_t top = start.layout.low_top();
    for (std::size_t i = 0; i < config.modules.size(); ++i) {
        const BootModule& module = config.modules[i];
        const std::uint64_t size = module.data.size();
        const std::uint64_t floor = (start.kernel.highest + kGuestPageSize - 1) & ~(kGuestPageSize - 1);
        if (size > top - std::min(top, floor)) {
            return load_error("the guest has too little memory: the initial ramdisk of " +
                              std::to_string(size >> 20) +
                              " MiB does not fit between the kernel and the end of memory");
        }
        top = (top - size) & ~(kGuestPageSize - 1);
        const auto target = memory.span(GuestPhys(top), size);
        if (!target) return load_error("the guest's memory is not mapped as its layout says");
        wide_copy_down(target->data(), module.data.data(), size);
        const auto command_line = info.add_string(module.command_line);
        if (!command_line) return std::unexpected(command_line.error());
        info.put(kModuleListOffset + i * sizeof(hvm_modlist_entry),
                 hvm_modlist_entry{top, size, *command_line, 0});
    }
    header.nr_modules = static_cast<std::uint32_t>(config.modules.size());
    header.modlist_paddr = config.modules.empty() ? 0 : kBootInfoBase + kModuleListOffset;
    return {};
}

Loaded<void> check(const PvhConfig& config) {
    if (config.vcpus == 0 || config.vcpus > kMaxVcpus) {
        return load_error("a guest has 1 to " + std::to_string(kMaxVcpus) + " vCPUs, not " +
                          std::to_string(config.vcpus));
    }
    if (config.modules.size() > kMaxModules) return load_error("the guest has too many boot modules");
    return {};
}

}  // namespace

Loaded<PvhStart> prepare_pvh(const GuestMemory& memory, const PvhConfig& config) {
    if (const auto fine = check(config); !fine) return std::unexpected(fine.error());
    PvhStart start;
    start.layout = GuestLayout(config.ram_bytes);
    const auto kernel = load_kernel(memory, start.layout, config.kernel);
    if (!kernel) return std::unexpected(kernel.error());
    start.kernel = *kernel;
    start.entry = kernel->entry;

    const auto area = memory.span(GuestPhys(kBootInfoBase), kBootInfoSize);
    if (!area) return load_error("the guest's memory is not mapped as its layout says");
    BootInfo info(*area);
    hvm_start_info header{};
    header.magic = XEN_HVM_START_MAGIC_VALUE;
    header.version = 1;
    header.rsdp_paddr = kAcpiBase;
    const auto command_line = info.add_string(config.command_line);
    if (!command_line) return std::unexpected(command_line.error());
    header.cmdline_paddr = *command_line;
    if (const auto placed = place_modules(memory, config, start, info, header); !placed) {
        return std::unexpected(placed.error());
    }
    const auto map = start.layout.map();
    header.memmap_paddr = kBootInfoBase + kMemoryMapOffset;
    header.memmap_entries = static_cast<std::uint32_t>(map.size());
    for (std::size_t i = 0; i < map.size(); ++i) info.put(kMemoryMapOffset + i * sizeof map[i], map[i]);
    start.start_info = GuestPhys(info.put(0, header));

    const AcpiTables acpi = build_acpi_tables(GuestPhys(kAcpiBase), config.vcpus);
    if (!memory.copy_out(GuestPhys(kAcpiBase), std::span(acpi.bytes).first(acpi.size))) {
        return load_error("the guest's memory is not mapped as its layout says");
    }
    return start;
}

}  // namespace bulkhead::vmm
