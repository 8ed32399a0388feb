// SPDX-License-Identifier: Apache-2.0
// The order of boot on the first CPU. Everything in kernel/init and boot/ is unmapped when the root task
// starts.
#include "boot/acpi/acpi.hpp"
#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/descriptor.hpp"
#include "kernel/arch/x86_64/ioapic.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/arch/x86_64/reset.hpp"
#include "kernel/arch/x86_64/start.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/core/boot.hpp"
#include "kernel/init/chipset.hpp"
#include "kernel/init/clock.hpp"
#include "kernel/init/early_memory.hpp"
#include "kernel/init/identity_memory.hpp"
#include "kernel/init/leave_firmware.hpp"
#include "kernel/init/limits.hpp"
#include "kernel/init/options.hpp"
#include "kernel/init/paging.hpp"
#include "kernel/init/reset.hpp"
#include "kernel/init/root_task.hpp"
#include "kernel/init/smp.hpp"
#include "kernel/init/text_screen.hpp"

namespace bulkhead::init {
namespace {

abi::BootInfo boot_info;
core::boot::Machine machine;
constexpr uint32_t kKindBootInfo = 0x64;

uint32_t boot_apic_id() {
    if (arch::features.x2apic && arch::cpuid(0).eax >= 0xb) return arch::cpuid(0xb).edx;
    return arch::cpuid(1).ebx >> 24;
}

void read_boot_info(uint32_t kind, uint64_t pointer) {
    const uint64_t base = arch::kernel_memory.image_physical;
    const uint64_t bytes = static_cast<uint64_t>(image_end - image_start);
    if (kind == kMultiboot1Magic || kind == kMultiboot2Magic) {
        static boot::MemoryMap map;
        IdentityMemory memory;
        boot_info.kernel_base = base;
        boot_info.kernel_size = bytes;
        if (const char* why =
                read_multiboot(memory, kind, pointer, firmware_map(), boot_apic_id(), map, boot_info))
            arch::panic(why);
        return;
    }
    const auto* from = reinterpret_cast<const abi::BootInfo*>(pointer);
    if (kind != kKindBootInfo || from->magic != abi::kBootInfoMagic || from->version != abi::kAbiVersion ||
        from->size != sizeof(abi::BootInfo))
        arch::panic("the boot loader passes no boot information of this kernel's version");
    __builtin_memcpy(&boot_info, from, sizeof(boot_info));
    if (boot_info.kernel_base != base) arch::panic("the boot loader put the kernel elsewhere than it says");
}

void name_loader(uint32_t kind) {
    const char* way = kind == kKindBootInfo       ? "\n"
                      : kind == kMultiboot1Magic  ? " (Multiboot 1)\n"
                      : firmware_map().bytes != 0 ? " (Multiboot 2, UEFI boot services)\n"
                                                  : " (Multiboot 2)\n";
    arch::klog(abi::LogLevel::Info, "kernel: booted by ", boot_info.loader, way);
}

uint64_t random_word() {
    uint64_t value = arch::rdtsc() * 0x9e3779b97f4a7c15;
    if ((arch::cpuid(1).ecx & (1u << 30)) != 0) {
        uint64_t hardware = 0;
        asm volatile("rdrand %0" : "=r"(hardware)::"cc");
        value ^= hardware;
    }
    value ^= value >> 31;
    return value * 0xbf58476d1ce4e5b9;
}

uint64_t feature_bits() {
    const arch::Features& f = arch::features;
    const auto bit = [](bool has, abi::CpuFeature feature) {
        return has ? static_cast<uint64_t>(feature) : 0;
    };
    return bit(f.nrips, abi::kFeatureNrips) | bit(f.decode_assists, abi::kFeatureDecodeAssists) |
           bit(f.flush_by_asid, abi::kFeatureFlushByAsid) | bit(f.invariant_tsc, abi::kFeatureInvariantTsc) |
           bit(f.x2apic, abi::kFeatureX2Apic) | bit(f.huge_pages, abi::kFeatureHugeGuestPages) |
           bit(f.pause_filter, abi::kFeaturePauseFilter);
}

void describe_machine(uint64_t tsc_khz, uint64_t boot_tsc) {
    machine.info = &boot_info;
    machine.tsc_khz = tsc_khz;
    machine.secret = random_word();
    machine.cpus = arch::cpu_count;
    for (uint32_t i = 0; i < arch::cpu_count; ++i) machine.cpu[i] = &arch::cpu_locals[i]->core;
    abi::KernelInfo& info = machine.kernel_info;
    info.boot_tsc = boot_tsc;
    info.features = feature_bits();
    __builtin_memcpy(info.version, BULKHEAD_VERSION, sizeof(BULKHEAD_VERSION));
    __builtin_memcpy(info.cpu_name, arch::features.brand, sizeof(arch::features.brand));
    info.physical_address_bits = arch::features.physical_bits;
    info.virt_kind = arch::vcpu_available() ? 1 : 0;
    machine.fault_gsi_limit = arch::ioapic::gsi_limit();
}

// The loader's code, tables and BootInfo are not needed any more: copied, or replaced.
void take_loader_memory() {
    for (uint32_t i = 0; i < boot_info.ranges; ++i)
        if (boot_info.range[i].type == abi::MemoryType::Boot) boot_info.range[i].type = abi::MemoryType::Free;
}

// What lies behind a module in its last page is not the module's.
void clear_module_tails() {
    for (uint32_t i = 0; i < boot_info.modules; ++i) {
        const abi::BootModule& m = boot_info.module[i];
        const uint64_t end = m.base + m.size, rest = (abi::kPageSize - end % abi::kPageSize) % abi::kPageSize;
        __builtin_memset(arch::direct(end), 0, rest);
    }
}

void name_unused_microcode() {
    for (uint32_t i = 0; i < boot_info.modules; ++i)
        if (__builtin_strcmp(boot_info.module[i].name, "ucode") == 0)
            arch::klog(
                abi::LogLevel::Warning,
                "kernel: the microcode (ucode=) is not applied: this version cannot; let the firmware do "
                "it\n");
}

}  // namespace

extern "C" [[noreturn]] void boot_main(uint32_t kind, uint64_t pointer) {
    const uint64_t boot_tsc = arch::rdtsc();
    if (const char* missing = arch::detect_features()) arch::panic(missing);
    // The temporary tables map the image with 2 MiB pages from its physical base.
    const uint64_t* boot_root = reinterpret_cast<const uint64_t*>(arch::read_cr3());
    const auto* boot_high = reinterpret_cast<const uint64_t*>(boot_root[511] & arch::pte::kAddress);
    const auto* boot_pd = reinterpret_cast<const uint64_t*>(boot_high[510] & arch::pte::kAddress);
    arch::kernel_memory.image_physical = boot_pd[K_LOAD_ADDRESS >> 21] & ~uint64_t{0x1fffff};
    read_boot_info(kind, pointer);
    choose_options(boot_info);
    name_loader(kind);
    find_chipset(boot_info);
    IdentityMemory low_memory;
    find_text_screen(low_memory, boot_info);
    compare_screen(boot_info);
    limit_memory(boot_info);
    limit_cpus(boot_info, arch::threads_shift());

    static EarlyMemory memory{boot_info};
    if (arch::features.svm) arch::svm::setup();
    arch::build_idt();
    build_kernel_root(boot_info, memory);
    move_log(boot_info.chosen, memory);
    prepare_cpu(0, boot_info.cpu[0].apic_id, memory);
    arch::ioapic::mask_legacy();
    arch::lapic::choose(boot_info.lapic_base);
    arch::setup_this_cpu(*arch::cpu_locals[0]);
    arch::ioapic::init(boot_info);
    const uint64_t tsc_khz = calibrate_clocks();
    start_cpus(boot_info, memory);
    plan_reset(boot_info);
    memory.finish();
    take_loader_memory();
    limit_memory(boot_info);  // of that too
    clear_module_tails();
    arch::klog(abi::LogLevel::Info, "kernel: ", uint64_t{arch::cpu_count}, " CPUs, TSC ", tsc_khz, " kHz, ",
               arch::features.x2apic ? "x2APIC" : "xAPIC",
               arch::vcpu_available() ? ", SVM\n" : ", no virtualization\n");
    name_unused_microcode();

    describe_machine(tsc_khz, boot_tsc);
    core::boot::setup(machine);
    arch::reset_plan.known = true;  // for its waiting, the clock
    load_root_task(boot_info, random_word());
    arch::enter_root_task();
}

}  // namespace bulkhead::init
