// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/loading.hpp"

#include "boot/efi/kernel_image.hpp"
#include "kernel/arch/x86_64/entry_contract.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kPage = 4096, kFourGiB = uint64_t{1} << 32;
constexpr uint64_t kModuleAlignment = uint64_t{2} << 20;  // so that user level can map modules by large pages
constexpr uint32_t kMaxModulesInAll = sizeof(abi::BootInfo::module) / sizeof(abi::BootModule);

constexpr std::string_view kLinuxAnswer =
    "In Xen's configurations kernel= and ramdisk= are dom0's Linux. Bulkhead's dom0 is a program of its own, "
    "and\n"
    "Linux runs in guests only, which xl.cfg files describe. Instead of the two lines write these:\n"
    "  kernel=bulkhead.elf\n  dtb=manifest.dtb\n  ramdisk=bootfs.cpio\n";

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

bool has_module(const abi::BootInfo& info, std::string_view name) {
    for (uint32_t i = 0; i < info.modules; i++)
        if (std::string_view{info.module[i].name} == name) return true;
    return false;
}

void add_module(abi::BootInfo& info, const Loaded& file, std::string_view name) {
    abi::BootModule& module = info.module[info.modules];
    __builtin_memcpy(module.name, name.data(), name.size());  // BootInfo is zeroed: the text ends
    module.base = file.base;
    module.size = file.size;
    info.modules++;
}

}  // namespace

uint64_t load_kernel(Volume& volume, const EmbeddedFiles& embedded, const Configuration& configuration,
                     abi::BootInfo& info) {
    const FileLine& line = configuration.config.kernel;
    Where where = configuration.at(line);
    std::span<const uint8_t> bytes = embedded.kernel;
    std::string_view name = line.file;
    if (bytes.empty()) {
        const Loaded file = volume.read(line.file, where, kPage);
        bytes = {reinterpret_cast<const uint8_t*>(file.base), file.size};
    } else {
        name = ".kernel";
        if (line.line == 0) where = {};
    }
    if (is_linux_image(bytes)) {
        note(where, "kernel= names a Linux image:", name);
        print(kLinuxAnswer);
        leave(EFI_LOAD_ERROR, true);
    }
    const KernelLayout layout = check_kernel(bytes);
    if (layout.error) fail(where, layout.error, name);
    info.kernel_base = allocate_pages(layout.bytes / kPage, arch::kKernelBaseAlignment, kFourGiB,
                                      EfiLoaderCode, "the kernel");
    info.kernel_size = layout.bytes;
    auto* memory = reinterpret_cast<uint8_t*>(info.kernel_base);
    __builtin_memset(memory, 0, layout.bytes);
    place_kernel(bytes, memory);
    return info.kernel_base + layout.entry_offset;
}

void load_modules(Volume& volume, const EmbeddedFiles& embedded, const Configuration& configuration,
                  abi::BootInfo& info) {
    const auto check = [&](std::string_view name, Where where) {
        if (name.empty() || name.size() >= sizeof(abi::BootModule::name))
            fail(where, "a module's name has 1 to 47 characters:", name);
        if (has_module(info, name)) fail(where, "two modules have the name", name);
        if (info.modules == kMaxModulesInAll) fail(where, "there is no room for more than 16 modules:", name);
    };
    const auto load = [&](const FileLine& line, std::string_view name) {
        if (line.file.empty()) return;
        const Where where = configuration.at(line);
        check(name, where);
        const Embedded* inside = embedded.find(name);
        add_module(info,
                   inside ? copy_to_pages(inside->data.data(), inside->data.size(), kModuleAlignment, name)
                          : volume.read(line.file, where, kModuleAlignment),
                   name);
    };
    const Config& config = configuration.config;
    load(config.ramdisk, "bootfs");
    load(config.dtb, "manifest");
    load(config.ucode, "ucode");
    for (size_t i = 0; i < config.modules; i++) load(config.module[i], module_name(config.module[i]));
    for (size_t i = 0; i < embedded.modules; i++) {
        const Embedded& inside = embedded.module[i];
        if (has_module(info, inside.name)) continue;
        check(inside.name, {});
        add_module(info, copy_to_pages(inside.data.data(), inside.data.size(), kModuleAlignment, inside.name),
                   inside.name);
    }
    if (!has_module(info, "bootfs") && !has_module(info, "root"))
        fail({configuration.name},
             "there is nothing to start: the section has no ramdisk= line (bootfs.cpio)");
}

}  // namespace bulkhead::boot
