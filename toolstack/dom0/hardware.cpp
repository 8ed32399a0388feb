// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/hardware.hpp"

#include <cpuid.h>

#include <algorithm>
#include <cstring>

#include "toolstack/xl/text.hpp"

namespace bulkhead::dom0 {
namespace {

using abi::MemoryType;
using xl::Finding;
using xl::format;
using Verdict = Finding::Verdict;
using ULL = unsigned long long;

struct Leaf {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    explicit Leaf(std::uint32_t leaf) {
        if (__get_cpuid_max(leaf & 0x8000'0000, nullptr) >= leaf) __cpuid_count(leaf, 0, eax, ebx, ecx, edx);
    }
};

struct Feature {
    const char* name;
    bool has;
};

// What the kernel uses where the CPU has it, by CPUID as the kernel reads it.
std::vector<Feature> features(const abi::KernelInfo& kernel) {
    const Leaf one{1}, seven{7}, extended{0x8000'0001};
    const auto bit = [](std::uint32_t word, unsigned n) { return (word >> n & 1) != 0; };
    const auto used = [&](abi::CpuFeature f) { return (kernel.features & f) != 0; };
    return {{"NX", bit(extended.edx, 20)},
            {"SMEP", bit(seven.ebx, 7)},
            {"SMAP", bit(seven.ebx, 20)},
            {"UMIP", bit(seven.ecx, 2)},
            {"PCID", bit(one.ecx, 17)},
            {"RDRAND", bit(one.ecx, 30)},
            {"XSAVE", bit(one.ecx, 26)},
            {"TSC deadline", bit(one.ecx, 24)},
            {"x2APIC", used(abi::kFeatureX2Apic)},
            {"invariant TSC", used(abi::kFeatureInvariantTsc)},
            {"1 GiB pages", used(abi::kFeatureHugeGuestPages)}};
}

std::vector<Feature> guest_features(const abi::KernelInfo& kernel) {
    const auto used = [&](abi::CpuFeature f) { return (kernel.features & f) != 0; };
    return {{"next RIP", used(abi::kFeatureNrips)},
            {"decode assists", used(abi::kFeatureDecodeAssists)},
            {"flush by ASID", used(abi::kFeatureFlushByAsid)},
            {"pause filter", used(abi::kFeaturePauseFilter)}};
}

// What a later version may use: which machines have it is worth knowing.
std::string unused_features() {
    const Leaf one{1}, seven{7}, svm{0x8000'000a};
    const auto bit = [](std::uint32_t word, unsigned n) { return (word >> n & 1) != 0; };
    const Feature all[] = {{"MONITOR", bit(one.ecx, 3)},
                           {"LA57", bit(seven.ecx, 16)},
                           {"PKU", bit(seven.ecx, 3)},
                           {"CET", bit(seven.ecx, 7)},
                           {"LBR virtualization", bit(svm.edx, 1)},
                           {"TSC ratio", bit(svm.edx, 4)},
                           {"AVIC", bit(svm.edx, 13)},
                           {"virtual VMLOAD", bit(svm.edx, 15)},
                           {"VGIF", bit(svm.edx, 16)},
                           {"VNMI", bit(svm.edx, 25)}};
    std::string has;
    for (const Feature& f : all)
        if (f.has) has += has.empty() ? f.name : std::string{", "} + f.name;
    return has.empty() ? "" : "; not used yet: " + has;
}

// "A B; without C D"
std::string listed(const std::vector<Feature>& all) {
    std::string has, lacks;
    for (const Feature& f : all)
        (f.has ? has : lacks) += (f.has ? has : lacks).empty() ? f.name : std::string{", "} + f.name;
    return (has.empty() ? "none" : has) + (lacks.empty() ? "" : "; without " + lacks);
}

Finding memory(const abi::BootInfo& boot) {
    constexpr std::uint64_t kFourGiB = std::uint64_t{1} << 32;
    std::uint64_t ram = 0, above = 0, reserved = 0, bad = 0, largest = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(boot.ranges, std::size(boot.range)); i++) {
        const abi::MemoryRange& r = boot.range[i];
        if (r.type == MemoryType::Reserved || r.type == MemoryType::AcpiNvs)
            reserved += r.size;
        else if (r.type == MemoryType::Bad)
            bad += r.size;
        else if (r.type != MemoryType::Mmio)
            ram += r.size, above += r.base >= kFourGiB ? r.size : 0, largest = std::max(largest, r.size);
    }
    return {"memory map", Verdict::Works,
            format("%u ranges: %llu MiB of RAM, %llu of them above 4 GiB, the largest range %llu MiB; %llu "
                   "KiB reserved, %llu KiB bad",
                   boot.ranges, ULL{ram >> 20}, ULL{above >> 20}, ULL{largest >> 20}, ULL{reserved >> 20},
                   ULL{bad >> 10})};
}

// The kernel calibrated by the 8254, or read CPUID; 1 % apart, one of two clocks is wrong.
Finding timer(const char* name, std::uint64_t khz, std::uint64_t kernel_khz) {
    if (khz == 0) return {name, Verdict::Missing, "there is none, or it does not count"};
    const std::uint64_t apart = khz > kernel_khz ? khz - kernel_khz : kernel_khz - khz;
    const std::uint64_t ppm = kernel_khz != 0 ? apart * 1'000'000 / kernel_khz : 1'000'000;
    return {name, ppm <= 10'000 ? Verdict::Works : Verdict::Failed,
            format("by it the TSC runs at %llu kHz, %llu ppm from the kernel's %llu", ULL{khz}, ULL{ppm},
                   ULL{kernel_khz})};
}

std::string screen(const abi::BootFramebuffer& s) {
    if (s.width == 0) return "no screen";
    if (s.text) return format("screen of %ux%u characters", s.width, s.height);
    return format("screen of %ux%u pixels of %u bits at 0x%llx", s.width, s.height, s.bits, ULL{s.base});
}

Finding firmware(const abi::BootInfo& boot) {
    std::string text = format("loaded by %.63s; ", boot.loader[0] ? boot.loader : "an unnamed loader");
    text += screen(boot.framebuffer);
    text += boot.pm1a_control ? "; power-off" : "; no power-off";
    text += boot.acpi.pm1a_event == 0 || boot.acpi.fadt_flags & abi::kFadtPowerButtonIsDevice
                ? "; no fixed power button"
                : format("; power button by GSI %u", boot.acpi.sci_gsi);
    text += boot.reset_register ? format("; reset register 0x%llx", ULL{boot.reset_register})
                                : "; no reset register";
    return {"firmware", Verdict::Works, text};
}

Finding iommu(const abi::BootAcpi& acpi) {
    if (acpi.dmar_units + acpi.ivrs_units == 0) return {"IOMMU", Verdict::Missing, "the firmware names none"};
    return {
        "IOMMU", Verdict::Missing,
        format("%u VT-d and %u AMD-Vi units are there, and not used yet", acpi.dmar_units, acpi.ivrs_units)};
}

}  // namespace

std::vector<Finding> describe_hardware(const abi::BootInfo& boot, const abi::KernelInfo& kernel,
                                       const PlatformClient::Timers& timers) {
    std::vector<Finding> out;
    out.push_back({"Bulkhead", Verdict::Works, format("%.63s", kernel.version)});
    const char* name = kernel.cpu_name + std::strspn(kernel.cpu_name, " ");
    out.push_back({"CPU", Verdict::Works,
                   format("%.63s, CPUID 0x%x, %u CPUs run (the firmware names %u), TSC %llu kHz", name,
                          Leaf{1}.eax, kernel.cpus, boot.cpus, ULL{kernel.tsc_khz})});
    out.push_back({"features", Verdict::Works, "used: " + listed(features(kernel)) + unused_features()});
    if (kernel.virt_kind == 1)
        out.push_back({"virtualization", Verdict::Works,
                       "SVM with nested paging; helpers: " + listed(guest_features(kernel))});
    else
        out.push_back({"virtualization", Verdict::Missing,
                       "the CPU has no SVM with nested paging, or the firmware switched it off; Intel's VT-x "
                       "is not used yet"});
    out.push_back(iommu(boot.acpi));
    out.push_back(memory(boot));
    out.push_back(firmware(boot));
    out.push_back(timer("PM timer", timers.by_pm_timer, kernel.tsc_khz));
    out.push_back(timer("HPET", timers.by_hpet, kernel.tsc_khz));
    return out;
}

}  // namespace bulkhead::dom0
