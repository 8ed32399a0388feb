// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::arch {

Features features;

namespace {
bool bit(uint32_t word, unsigned n) {
    return ((word >> n) & 1) != 0;
}

void detect_xsave() {
    // x87, SSE, AVX, AVX-512 as a whole; never MPX, PKRU, AMX. Size: the kernel uses the standard (not
    // compacted) format, in which a component's place does not depend on what is enabled.
    const CpuidResult main = cpuid(0xd, 0);
    uint64_t wanted = main.eax & 0xe7u;
    if ((wanted & 0xe0) != 0xe0) wanted &= ~uint64_t{0xe0};
    features.xcr0 = wanted | 3;
    uint32_t bytes = 512 + 64;
    for (uint32_t i = 2; i < 8; ++i)
        if ((features.xcr0 & (1u << i)) != 0) {
            const CpuidResult component = cpuid(0xd, i);
            if (component.ebx + component.eax > bytes) bytes = component.ebx + component.eax;
        }
    features.xsave_bytes = (bytes + 63) & ~63u;
}

void detect_virtualisation(uint32_t extended_ecx, uint32_t basic_ecx, uint32_t max_extended) {
    constexpr uint64_t kSvmDisabled = 1 << 4;  // VM_CR.SVMDIS: firmware decided against it (APM 15.30.1)
    features.svm =
        bit(extended_ecx, 2) && max_extended >= 0x8000000a && (rdmsr(msr::kVmCr) & kSvmDisabled) == 0;
    features.vmx = bit(basic_ecx, 5);
    if (!features.svm) return;
    const CpuidResult svm = cpuid(0x8000000a);
    features.asids = svm.ebx;
    features.npt = bit(svm.edx, 0);
    if (!features.npt || features.asids < 2) features.svm = false;
    features.nrips = bit(svm.edx, 3);
    features.clean_bits = bit(svm.edx, 5);
    features.flush_by_asid = bit(svm.edx, 6);
    features.decode_assists = bit(svm.edx, 7);
    features.pause_filter = bit(svm.edx, 10);
}
}  // namespace

const char* detect_features() {
    const CpuidResult vendor = cpuid(0);
    features.amd = vendor.ebx == 0x68747541 || vendor.ebx == 0x6f677948;  // "Auth"enticAMD, "Hygo"nGenuine
    const CpuidResult one = cpuid(1);
    const CpuidResult seven = vendor.eax >= 7 ? cpuid(7) : CpuidResult{};
    const uint32_t max_extended = cpuid(0x80000000).eax;
    const CpuidResult extended = cpuid(0x80000001);
    if (!bit(extended.edx, 11)) return "the CPU has no SYSCALL instruction";
    if (!bit(extended.edx, 20)) return "the CPU has no execute-disable (NX), or firmware disabled it";
    if (!bit(seven.ebx, 0)) return "the CPU has no FSGSBASE instructions, which user level needs";
    if (!bit(one.edx, 9)) return "the CPU has no local APIC, or firmware disabled it";
    if (!bit(one.ecx, 26) || vendor.eax < 0xd) return "the CPU has no XSAVE";
    if (!bit(cpuid(0xd, 1).eax, 0)) return "the CPU has no XSAVEOPT";  // every one with FSGSBASE has it
    features.smep = bit(seven.ebx, 7);
    features.smap = bit(seven.ebx, 20);
    features.umip = bit(seven.ecx, 2);
    features.pcid = bit(one.ecx, 17);
    features.huge_pages = bit(extended.edx, 26);
    features.rdtscp = bit(extended.edx, 27);
    features.x2apic = bit(one.ecx, 21);
    features.tsc_deadline = bit(one.ecx, 24);
    features.invariant_tsc = max_extended >= 0x80000007 && bit(cpuid(0x80000007).edx, 8);
    features.physical_bits = max_extended >= 0x80000008 ? cpuid(0x80000008).eax & 0xff : 36;
    features.tcg = bit(one.ecx, 31) && cpuid(0x40000000).ebx == 0x54474354;  // "TCGT"CGTCGTCG
    detect_xsave();
    detect_virtualisation(extended.ecx, one.ecx, max_extended);
    if (max_extended >= 0x80000004)
        for (uint32_t i = 0; i < 3; ++i) {
            const CpuidResult part = cpuid(0x80000002 + i);
            const uint32_t words[4] = {part.eax, part.ebx, part.ecx, part.edx};
            __builtin_memcpy(features.brand + i * 16, words, 16);
        }
    return nullptr;
}

// The first level of leaf 0xb is that of threads (SDM vol. 2, CPUID; APM vol. 3, E.3.7); older AMD CPUs with
// threads say it in leaf 0x8000001e (APM vol. 3, E.4.17).
unsigned threads_shift() {
    if (cpuid(0).eax >= 0xb && cpuid(0xb).ebx != 0) return cpuid(0xb).eax & 31;
    const bool topology = cpuid(0x80000000).eax >= 0x8000001e && bit(cpuid(0x80000001).ecx, 22);
    const uint32_t threads = features.amd && topology ? (cpuid(0x8000001e).ebx >> 8 & 0xff) + 1 : 1;
    unsigned shift = 0;
    while (1u << shift < threads) ++shift;
    return shift;
}

void setup_control_registers() {
    uint64_t cr4_value =
        cr4::kPae | cr4::kMce | cr4::kPge | cr4::kOsFxsr | cr4::kOsXmmExcpt | cr4::kFsGsBase | cr4::kOsXsave;
    if (features.smep) cr4_value |= cr4::kSmep;
    if (features.smap) cr4_value |= cr4::kSmap;
    if (features.umip) cr4_value |= cr4::kUmip;
    // CR3 has no PCID yet, as setting PCIDE wants (APM vol. 2, 5.5.1).
    if (features.pcid) cr4_value |= cr4::kPcide;
    wrmsr(msr::kEfer, rdmsr(msr::kEfer) | efer::kSce | efer::kNxe);
    write_cr4(cr4_value);
    write_cr0(cr0::kPe | cr0::kMp | cr0::kNe | cr0::kWp | cr0::kAm | cr0::kPg |
              0x10);  // caches on, TS clear; 0x10: ET
    if (features.smap) asm volatile("clac" ::: "cc");
    xsetbv(features.xcr0);
    // PAT: WB WC UC- UC, WB WT UC- UC: entry 1 (PWT alone) is write-combining, entry 3 (PCD and PWT)
    // uncached.
    wrmsr(msr::kPat, 0x0007040600070106);
    wrmsr(msr::kSysenterCs, 0);  // SYSENTER faults
}

}  // namespace bulkhead::arch
