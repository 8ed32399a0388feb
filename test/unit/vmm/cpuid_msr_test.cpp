// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/cpuid_policy.hpp"

#include <catch2/catch.hpp>

#include "services/vmm-stubdom/msr_policy.hpp"

using namespace bulkhead::vmm;
using bulkhead::abi::VcpuState;

namespace {

// A CPU that has everything.
CpuidResult everything(uint32_t leaf, uint32_t sub) {
    if (leaf == 0) return {0x20, 0x68747541, 0x444d4163, 0x69746e65};
    if (leaf == 0x80000000) return {0x80000020, 0, 0, 0};
    if (leaf == 0xd && sub == 0) return {0xff, 0xa80, 0xa80, 0};
    if (leaf == 0xd && sub == 2) return {256, 576, 0, 0};
    return {~0u, ~0u, ~0u, ~0u};
}

CpuidPolicy policy(unsigned vcpus = 4) {
    CpuidConfig c;
    c.vcpus = vcpus;
    c.domid = 9;
    return CpuidPolicy{c, everything};
}

constexpr CpuidPolicy::Dynamic kCpu2{2, 0, 1, kLapicBase | 0x800};

}  // namespace

TEST_CASE("cpuid: Xen's leaves") {
    const CpuidPolicy p = policy();
    const CpuidResult base = p.lookup(0x40000000, 0, kCpu2);
    CHECK(base == CpuidResult{0x40000004, 0x566e6558, 0x65584d4d, 0x4d4d566e});
    CHECK(p.lookup(0x40000001, 0, kCpu2).eax == 0x40011);
    CHECK(p.lookup(0x40000002, 0, kCpu2).ebx == 0x40000000);
    const CpuidResult hvm = p.lookup(0x40000004, 0, kCpu2);
    CHECK(hvm.eax == 0x1a);  // x2APIC, vCPU id, domain id; bit 6 clear: the callback vector needs no EOI
    CHECK(hvm.ebx == 2);
    CHECK(hvm.ecx == 9);
    CHECK(p.lookup(0x40000100, 0, kCpu2) == CpuidResult{});
}

TEST_CASE("cpuid: what is not emulated is hidden") {
    const CpuidPolicy p = policy();
    const CpuidResult one = p.lookup(1, 0, kCpu2);
    CHECK((one.ecx & (1u << 31)) != 0);  // hypervisor
    CHECK((one.ecx & (1u << 21)) != 0);  // x2APIC
    CHECK((one.ecx & (1u << 3)) == 0);   // MONITOR
    CHECK((one.ecx & (1u << 24)) == 0);  // TSC deadline
    CHECK((one.ecx & (1u << 27)) == 0);  // OSXSAVE follows CR4
    CHECK((one.edx & ((1u << 7) | (1u << 14))) == 0);
    CHECK(one.ebx >> 24 == 2);
    CHECK(((one.ebx >> 16) & 0xff) == 4);
    CpuidPolicy::Dynamic d = kCpu2;
    d.cr4 = 1 << 18;
    CHECK((p.lookup(1, 0, d).ecx & (1u << 27)) != 0);
    CHECK((p.lookup(1, 0, {0, 0, 1, kLapicBase}).edx & (1u << 9)) == 0);
    const CpuidResult ext = p.lookup(0x80000001, 0, kCpu2);
    for (const unsigned bit : {2u, 3u, 9u, 10u, 12u, 13u, 22u, 23u, 24u, 28u, 29u})
        CHECK((ext.ecx & (1u << bit)) == 0);
    CHECK(p.lookup(0x80000007, 0, kCpu2) == CpuidResult{0, 0, 0, 0x100});
    for (const uint32_t leaf : {2u, 4u, 5u, 6u, 0xau}) CHECK(p.lookup(leaf, 0, kCpu2) == CpuidResult{});
    CHECK(p.lookup(0, 0, kCpu2).eax == 0xd);
    CHECK(p.lookup(0x80000000, 0, kCpu2).eax == 0x80000008);
    CHECK(p.lookup(0x8000001e, 0, kCpu2) == CpuidResult{});
}

TEST_CASE("cpuid: one package of single-threaded cores, whatever their number") {
    for (unsigned vcpus = 1; vcpus <= 16; ++vcpus) {
        const CpuidPolicy p = policy(vcpus);
        const CpuidResult smt = p.lookup(0xb, 0, kCpu2), core = p.lookup(0xb, 1, kCpu2);
        CHECK(smt.eax == 0);
        CHECK(smt.edx == 2);
        CHECK(core.ebx == vcpus);
        CHECK((1u << core.eax) >= vcpus);
        CHECK(p.lookup(0xb, 2, kCpu2).ecx == 2);
        CHECK((p.lookup(0x80000008, 0, kCpu2).ecx & 0xff) == vcpus - 1);
    }
}

TEST_CASE("cpuid: extended state is limited to AVX, and its size follows XCR0") {
    const CpuidPolicy p = policy();
    CHECK(p.xcr0_supported() == 7);
    CHECK(p.lookup(0xd, 0, {0, 0, 1, 0}) == CpuidResult{7, 576, 832, 0});
    CHECK(p.lookup(0xd, 0, {0, 0, 7, 0}).ebx == 832);
    CHECK((p.lookup(0xd, 1, kCpu2).eax & ~7u) == 0);
    CHECK(p.lookup(0xd, 40, kCpu2) == CpuidResult{});
}

TEST_CASE("msr: the known ones answer, all others fault") {
    const PvClock clock{1'000'000, 0};
    Lapic lapic{0, clock, true};
    VcpuState s{};
    MsrPolicy msrs;
    CHECK(msrs.read(0x1b, s, lapic, 0) == 0xfee00900);
    CHECK(msrs.read(0xfe, s, lapic, 0) == 0x508);
    CHECK(msrs.read(0x250, s, lapic, 0) == 0x0606060606060606);
    CHECK(msrs.read(0xc0010015, s, lapic, 0) == 1u << 24);
    CHECK(msrs.read(0x179, s, lapic, 0) == 0);
    CHECK_FALSE(msrs.read(0xc0010140, s, lapic, 0));
    CHECK_FALSE(msrs.read(0xc0010117, s, lapic, 0));  // VM_HSAVE_PA
    CHECK(msrs.write(0xc0010117, 0, s, lapic, 0).kind == MsrWrite::Fault);
    CHECK(msrs.write(0x2ff, 0xc06, s, lapic, 0).kind == MsrWrite::Done);
    CHECK(msrs.write(0x40000000, 0x5000, s, lapic, 0).kind == MsrWrite::HypercallPage);
}

TEST_CASE("msr: EFER keeps LMA and the kernel's SVME, and refuses what it must") {
    const PvClock clock{1'000'000, 0};
    Lapic lapic{0, clock, true};
    VcpuState s{};
    MsrPolicy msrs;
    s.efer = 0x1000;
    CHECK(msrs.write(0xc0000080, 0x901, s, lapic, 0).kind == MsrWrite::Done);
    CHECK(s.efer == 0x1901);
    CHECK((s.dirty & VcpuState::kControl) != 0);
    s.cr0 = 0x80000001;
    s.efer = 0x1d01;
    CHECK(msrs.write(0xc0000080, 0x901, s, lapic, 0).kind == MsrWrite::Done);
    CHECK(s.efer == 0x1d01);  // a second write must not drop LMA
    CHECK(msrs.write(0xc0000080, 0x801, s, lapic, 0).kind == MsrWrite::Fault);
    CHECK(msrs.write(0xc0000080, 0x1d01, s, lapic, 0).kind == MsrWrite::Fault);
    CHECK(msrs.read(0xc0000080, s, lapic, 0) == 0xd01);
    CHECK(msrs.write(0x277, 0x0007040600070406, s, lapic, 0).kind == MsrWrite::Done);
    CHECK(msrs.write(0x277, 2, s, lapic, 0).kind == MsrWrite::Fault);
}
