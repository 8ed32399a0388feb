// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/cpuid_policy.hpp"

#include <cpuid.h>
#include <xen/arch-x86/cpuid.h>

#include <bit>
#include <initializer_list>

#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

constexpr uint32_t bits(std::initializer_list<unsigned> list) {
    uint32_t value = 0;
    for (unsigned b : list) value |= 1u << b;
    return value;
}

// Leaf 1 ECX. Hidden: MONITOR 3, VMX 5, SMX 6, EIST 7, TM2 8, CNXT-ID 10, SDBG 11, xTPR 14, PDCM 15, PCID 17
// stays as the host has it, DCA 18, TSC deadline 24 (the LAPIC has none), OSXSAVE 27 (from CR4). Set: x2APIC
// 21, hypervisor 31.
constexpr uint32_t kLeaf1EcxHidden = bits({2, 3, 5, 6, 7, 8, 10, 11, 14, 15, 18, 24, 27});
constexpr uint32_t kLeaf1EcxSet = bits({21, 31});
// Leaf 1 EDX. MCE 7, MCA 14, PSN 18, DS 21, ACPI 22, SS 27, HTT 28 (set again below), TM 29, PBE 31.
constexpr uint32_t kLeaf1EdxHidden = bits({7, 14, 18, 21, 22, 27, 28, 29, 31});
// Leaf 7 EBX: TSC_ADJUST 1, SGX 2, PQM 12, PQE 15, MPX 14, AVX-512 family and PT 25 need state that is not
// switched.
constexpr uint32_t kLeaf7EbxHidden = bits({1, 2, 4, 11, 12, 14, 15, 16, 17, 21, 22, 25, 26, 27, 28, 30, 31});
// Leaf 7 ECX: only UMIP 2, VAES 9, VPCLMULQDQ 10, RDPID 22 pass. (PKU, LA57, WAITPKG, CET, … need state or
// intercepts.)
constexpr uint32_t kLeaf7EcxShown = bits({2, 9, 10, 22});
// Leaf 7 EDX: FSRM 4 and MD_CLEAR 10 pass; IBRS and friends need their MSRs.
constexpr uint32_t kLeaf7EdxShown = bits({4, 10});
// 8000_0001 ECX: SVM 2, EXTAPIC 3, OSVW 9, IBS 10, SKINIT 12, WDT 13, LWP 15, TOPOEXT 22, PERFCTR 23 24 28,
// MWAITX 29.
constexpr uint32_t kExt1EcxHidden = bits({2, 3, 9, 10, 12, 13, 15, 22, 23, 24, 26, 27, 28, 29, 30});
constexpr uint32_t kExt1EdxHidden = bits({7, 14});
constexpr uint64_t kXcr0Offered = 7;  // x87, SSE, AVX: what the kernel switches (no MPX, AVX-512, PKRU yet)

}  // namespace

CpuidResult host_cpuid(uint32_t leaf, uint32_t subleaf) {
    CpuidResult r;
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

CpuidPolicy::CpuidPolicy(const CpuidConfig& config, CpuidSource host) : config_{config} {
    topology_shift_ = static_cast<uint32_t>(std::bit_width(config.vcpus - 1));
    const CpuidResult vendor = host(0, 0);
    amd_ = vendor.ebx == 0x68747541 || vendor.ebx == 0x6f677948;  // "Auth"enticAMD, "Hygo"nGenuine
    filter_basic(host);
    filter_extended(host);
    fill_xen();
}

void CpuidPolicy::filter_basic(CpuidSource host) {
    const uint32_t host_max = host(0, 0).eax;
    auto host_leaf = [&](uint32_t leaf, uint32_t sub) {
        return leaf <= host_max ? host(leaf, sub) : CpuidResult{};
    };

    basic_[0] = host(0, 0);
    basic_[0].eax = kBasicLeaves - 1;
    CpuidResult& one = basic_[1];
    one = host_leaf(1, 0);
    one.ebx = (one.ebx & 0x0000ff00) |
              (config_.vcpus << 16);  // CLFLUSH size; logical processors; APIC id patched in
    one.ecx = (one.ecx & ~kLeaf1EcxHidden) | kLeaf1EcxSet;
    one.edx &= ~kLeaf1EdxHidden;
    if (config_.vcpus > 1) one.edx |= 1u << 28;
    basic_[7] = host_leaf(7, 0);
    basic_[7].eax = 0;
    basic_[7].ebx &= ~kLeaf7EbxHidden;
    basic_[7].ecx &= kLeaf7EcxShown;
    basic_[7].edx &= kLeaf7EdxShown;

    const bool xsave = (one.ecx & (1u << 26)) != 0;
    const CpuidResult state = xsave ? host_leaf(0xd, 0) : CpuidResult{};
    config_.xcr0_supported = xsave ? (state.eax & kXcr0Offered) | 1 : 1;
    if (!(config_.xcr0_supported & 4)) {  // no AVX state: no AVX, FMA, F16C, AVX2
        one.ecx &= ~bits({12, 28, 29});
        basic_[7].ebx &= ~bits({5});
        basic_[7].ecx &= ~bits({9, 10});
    }
    if (!xsave) return;
    state_[0] = CpuidResult{static_cast<uint32_t>(config_.xcr0_supported), 0, 0, 0};
    state_[1] = host_leaf(0xd, 1);
    state_[1] = CpuidResult{state_[1].eax & 7, 0, 0, 0};  // XSAVEOPT, XSAVEC, XGETBV(1); no XSAVES
    for (uint32_t i = 2; i < kStateLeaves; ++i)
        if (config_.xcr0_supported & (1u << i)) state_[i] = host_leaf(0xd, i);
}

void CpuidPolicy::filter_extended(CpuidSource host) {
    const uint32_t host_max = host(0x80000000, 0).eax;
    const uint32_t max = host_max < 0x80000000 ? 0x80000000 : (host_max > 0x80000008 ? 0x80000008 : host_max);
    for (uint32_t leaf = 0x80000000; leaf <= max; ++leaf) extended_[leaf - 0x80000000] = host(leaf, 0);
    if (max < 0x80000008) {
        extended_[8].eax = 0x3028;  // 40 physical, 48 linear bits: every 64-bit CPU has as much
    }
    extended_[0].eax = 0x80000008;
    extended_[1].ecx &= ~kExt1EcxHidden;
    if (config_.vcpus > 1 && amd_)
        extended_[1].ecx |= 1u << 1;  // CmpLegacy: the logical processors are cores
    extended_[1].edx &= ~kExt1EdxHidden;
    if (!(config_.xcr0_supported & 4)) extended_[1].ecx &= ~bits({11, 16});  // XOP, FMA4
    extended_[7] = CpuidResult{0, 0, 0, 1u << 8};  // invariant TSC, whatever an emulator says
    extended_[8].eax = (48u << 8) | (extended_[8].eax & 0xff);
    extended_[8].ebx &= 1;  // CLZERO
    extended_[8].ecx = (config_.vcpus - 1) | (topology_shift_ << 12);
    extended_[8].edx = 0;
}

void CpuidPolicy::fill_xen() {
    xen_[0] = CpuidResult{kMsrBase + kXenLeaves - 1, XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX,
                          XEN_CPUID_SIGNATURE_EDX};
    xen_[1] = CpuidResult{(kXenMajor << 16) | kXenMinor, 0, 0, 0};
    xen_[2] = CpuidResult{1, kMsrBase, 0, 0};
    xen_[3] = CpuidResult{1u << 1, 2, static_cast<uint32_t>(config_.tsc_khz),
                          0};  // host TSC reliable, never emulated
    xen_tsc_scale_ =
        CpuidResult{0, 0, config_.tsc_mul, static_cast<uint32_t>(static_cast<int32_t>(config_.tsc_shift))};
    xen_tsc_host_ = CpuidResult{static_cast<uint32_t>(config_.tsc_khz), 0, 0, 0};
    uint32_t features =
        XEN_HVM_CPUID_X2APIC_VIRT | XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT;
    if (config_.upcall_vector) features |= XEN_HVM_CPUID_UPCALL_VECTOR;
    xen_[4] = CpuidResult{features, 0, config_.domid, 0};
}

CpuidResult CpuidPolicy::topology(uint32_t subleaf, uint32_t vcpu) const {
    // One thread a core (level 0, SMT, shift 0), all cores in one package (level 1).
    if (subleaf == 0) return {0, 1, 1u << 8, vcpu};
    if (subleaf == 1) return {topology_shift_, config_.vcpus, 1 | (2u << 8), vcpu};
    return {0, 0, subleaf & 0xff, vcpu};
}

CpuidResult CpuidPolicy::extended_state(uint32_t subleaf, uint64_t xcr0) const {
    if (subleaf >= kStateLeaves) return {};
    CpuidResult r = state_[subleaf];
    if (subleaf > 1 || config_.xcr0_supported == 1) return r;
    auto size_of = [&](uint64_t mask) {
        uint32_t size = 576;
        for (uint32_t i = 2; i < kStateLeaves; ++i)
            if ((mask >> i) & 1 && state_[i].ebx + state_[i].eax > size) size = state_[i].ebx + state_[i].eax;
        return size;
    };
    if (subleaf == 0) {
        r.ebx = size_of(xcr0);
        r.ecx = size_of(config_.xcr0_supported);
    } else {
        r.ebx = size_of(xcr0);  // compacted size: the same layout while nothing lies beyond AVX
    }
    return r;
}

CpuidResult CpuidPolicy::lookup(uint32_t leaf, uint32_t subleaf, const Dynamic& dynamic) const {
    if (leaf < kBasicLeaves) {
        switch (leaf) {
            case 1: {
                CpuidResult r = basic_[1];
                r.ebx |= dynamic.vcpu << 24;
                if (dynamic.cr4 & (1u << 18)) r.ecx |= 1u << 27;             // OSXSAVE mirrors CR4
                if (!(dynamic.apic_base & (1u << 11))) r.edx &= ~(1u << 9);  // APIC mirrors its enable bit
                return r;
            }
            case 7: return subleaf == 0 ? basic_[7] : CpuidResult{};
            case 0xb: return topology(subleaf, dynamic.vcpu);
            case 0xd: return extended_state(subleaf, dynamic.xcr0);
            default: return basic_[leaf];
        }
    }
    if (leaf - 0x40000000 < kXenLeaves) {
        const uint32_t index = leaf - 0x40000000;
        if (index == 3 && subleaf != 0)
            return subleaf == 1 ? xen_tsc_scale_ : subleaf == 2 ? xen_tsc_host_ : CpuidResult{};
        CpuidResult r = xen_[index];
        if (index == 4) r.ebx = dynamic.vcpu;
        return r;
    }
    if (leaf - 0x80000000 < kExtendedLeaves) return extended_[leaf - 0x80000000];
    // Beyond the ranges: all zero. (Intel would repeat the last basic leaf; nobody relies on that.)
    return {};
}

}  // namespace bulkhead::vmm
