// SPDX-License-Identifier: Apache-2.0
// Everything that must be in a guest's memory before its first instruction: kernel, modules, start_info with
// memory map and command line, ACPI tables. Called once by the VMM, before any vCPU runs.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "services/vmm-stubdom/loader/guest_layout.hpp"
#include "services/vmm-stubdom/loader/image_reader.hpp"
#include "services/vmm-stubdom/loader/kernel_loader.hpp"
#include "services/vmm-stubdom/loader/load_error.hpp"
#include "services/vmm-stubdom/memory/guest_memory.hpp"

namespace bulkhead::vmm {

struct BootModule {
    ImageBytes data;  // the initrd is the first module
    std::string_view command_line;
};

struct PvhConfig {
    std::uint64_t ram_bytes = 0;
    unsigned vcpus = 1;
    ImageBytes kernel;
    std::span<const BootModule> modules;  // at most kMaxModules
    std::string_view command_line;
};

inline constexpr std::size_t kMaxModules = 8;

// The boot vCPU starts in 32-bit protected mode without paging (CR0.PE only, flat segments), RIP = entry,
// RBX = start_info.
struct PvhStart {
    std::uint32_t entry = 0;
    GuestPhys start_info;
    GuestLayout layout{0};
    LoadedKernel kernel;
};

// Guest memory must cover the layout's low range from 0 in one segment.
[[nodiscard]] Loaded<PvhStart> prepare_pvh(const GuestMemory& memory, const PvhConfig& config);

}  // namespace bulkhead::vmm
