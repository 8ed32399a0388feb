// SPDX-License-Identifier: Apache-2.0
// What CPUID tells a guest: the host's leaves with everything hidden that the VMM does not emulate, one
// package of single-threaded cores, and Xen's own leaves at 0x40000000.
//
// Built once per VM from the host's leaves; lookup() is on the hottest exit path: an array access and at most
// one patch, no lock. Immutable after construction, so any thread.
#pragma once

#include <array>
#include <cstdint>

namespace bulkhead::vmm {

struct CpuidResult {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    friend bool operator==(const CpuidResult&, const CpuidResult&) = default;
};
using CpuidSource = CpuidResult (*)(uint32_t leaf, uint32_t subleaf);
CpuidResult host_cpuid(uint32_t leaf, uint32_t subleaf);

struct CpuidConfig {
    unsigned vcpus = 1;
    uint16_t domid = 0;
    uint64_t tsc_khz = 1'000'000;
    uint32_t tsc_mul = 0;
    int8_t tsc_shift = 0;
    bool upcall_vector = false;   // Xen leaf 4 bit 6: per-vCPU vectors through the LAPIC
    uint64_t xcr0_supported = 3;  // filled in by the policy from the host's leaf 0xd
};

class CpuidPolicy {
  public:
    CpuidPolicy(const CpuidConfig& config, CpuidSource host);

    // The parts that differ from vCPU to vCPU or change as it runs.
    struct Dynamic {
        uint32_t vcpu;
        uint64_t cr4, xcr0, apic_base;
    };
    CpuidResult lookup(uint32_t leaf, uint32_t subleaf, const Dynamic& dynamic) const;

    uint64_t xcr0_supported() const { return config_.xcr0_supported; }
    bool is_amd() const { return amd_; }
    static constexpr uint32_t kMsrBase = 0x40000000;  // hypercall page
    static constexpr uint32_t kXenMajor = 4, kXenMinor = 17;

  private:
    void filter_basic(CpuidSource host);
    void filter_extended(CpuidSource host);
    void fill_xen();
    CpuidResult topology(uint32_t subleaf, uint32_t vcpu) const;
    CpuidResult extended_state(uint32_t subleaf, uint64_t xcr0) const;

    static constexpr uint32_t kBasicLeaves = 0xe, kExtendedLeaves = 0x1f, kXenLeaves = 5, kStateLeaves = 10;
    CpuidConfig config_;
    bool amd_ = false;
    std::array<CpuidResult, kBasicLeaves> basic_{};
    std::array<CpuidResult, kExtendedLeaves> extended_{};
    std::array<CpuidResult, kXenLeaves> xen_{};
    std::array<CpuidResult, kStateLeaves> state_{};
    CpuidResult xen_tsc_scale_{}, xen_tsc_host_{};
    uint32_t topology_shift_ = 0;
};

}  // namespace bulkhead::vmm
