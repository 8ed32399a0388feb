// SPDX-License-Identifier: Apache-2.0
// Privileged instructions and what CPUID says. Only inline wrappers; nothing here has state but `features`.
#pragma once

#include <stdint.h>

namespace bulkhead::arch {

inline uint64_t rdmsr(uint32_t msr) {
    uint32_t low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t{high} << 32);
}
inline void wrmsr(uint32_t msr, uint64_t value) {
    asm volatile("wrmsr" ::"c"(msr), "a"(static_cast<uint32_t>(value)),
                 "d"(static_cast<uint32_t>(value >> 32))
                 : "memory");
}

struct CpuidResult {
    uint32_t eax, ebx, ecx, edx;
};
inline CpuidResult cpuid(uint32_t leaf, uint32_t subleaf = 0) {
    CpuidResult r;
    asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

inline uint64_t rdtsc() {
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t{high} << 32);
}

inline uint8_t inb(uint16_t port) {
    uint8_t v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
inline uint16_t inw(uint16_t port) {
    uint16_t v;
    asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
inline uint32_t inl(uint16_t port) {
    uint32_t v;
    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
inline void outb(uint16_t port, uint8_t v) {
    asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
inline void outw(uint16_t port, uint16_t v) {
    asm volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
inline void outl(uint16_t port, uint32_t v) {
    asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}

inline uint64_t read_cr0() {
    uint64_t v;
    asm volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}
inline uint64_t read_cr2() {
    uint64_t v;
    asm volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}
inline uint64_t read_cr3() {
    uint64_t v;
    asm volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
inline uint64_t read_cr4() {
    uint64_t v;
    asm volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
inline void write_cr0(uint64_t v) {
    asm volatile("mov %0, %%cr0" ::"r"(v) : "memory");
}
inline void write_cr3(uint64_t v) {
    asm volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}
inline void write_cr4(uint64_t v) {
    asm volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}
inline void invlpg(uint64_t address) {
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
}

inline void cpu_relax() {
    asm volatile("pause" ::: "memory");
}
// XCR0 is below 2^32.
inline uint32_t xgetbv_low() {
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
inline void xsetbv(uint64_t v) {
    asm volatile("xsetbv" ::"c"(0), "a"(static_cast<uint32_t>(v)), "d"(0) : "memory");
}

namespace msr {
inline constexpr uint32_t kApicBase = 0x1b, kTscDeadline = 0x6e0, kX2ApicFirst = 0x800, kPat = 0x277,
                          kEfer = 0xc0000080, kStar = 0xc0000081, kLstar = 0xc0000082, kCstar = 0xc0000083,
                          kSfmask = 0xc0000084, kFsBase = 0xc0000100, kGsBase = 0xc0000101,
                          kKernelGsBase = 0xc0000102, kTscAux = 0xc0000103, kVmCr = 0xc0010114,
                          kVmHsavePa = 0xc0010117, kSysenterCs = 0x174;
}
namespace cr0 {
inline constexpr uint64_t kPe = 1, kMp = 2, kEm = 4, kTs = 8, kNe = 1 << 5, kWp = 1 << 16, kAm = 1 << 18,
                          kNw = 1 << 29, kCd = 1 << 30, kPg = 1ull << 31;
}
namespace cr3 {
inline constexpr uint64_t kKeep = 1ull << 63;  // with CR4.PCIDE: do not flush
}
namespace cr4 {
inline constexpr uint64_t kPae = 1 << 5, kMce = 1 << 6, kPge = 1 << 7, kOsFxsr = 1 << 9,
                          kOsXmmExcpt = 1 << 10, kUmip = 1 << 11, kFsGsBase = 1 << 16, kPcide = 1 << 17,
                          kOsXsave = 1 << 18, kSmep = 1 << 20, kSmap = 1 << 21;
}
namespace efer {
inline constexpr uint64_t kSce = 1, kLme = 1 << 8, kLma = 1 << 10, kNxe = 1 << 11, kSvme = 1 << 12;
}

// Read once on the boot CPU; the other CPUs are checked against it (smp.cpp refuses one that lacks
// something).
struct Features {
    bool smep, smap, umip, pcid, huge_pages, x2apic, tsc_deadline, invariant_tsc, rdtscp;
    bool svm, npt, nrips, decode_assists, flush_by_asid, clean_bits, pause_filter, vmx;
    uint32_t asids;
    uint32_t physical_bits;
    uint32_t xsave_bytes;  // for the XCR0 that the kernel sets
    uint64_t xcr0;
    bool amd;
    bool tcg;  // the CPU is QEMU's emulation
    char brand[49];
};
extern Features features;

// nullptr, or a sentence: what the CPU lacks that the kernel cannot do without.
const char* detect_features();
unsigned threads_shift();        // how many low bits of an APIC ID tell the threads of a core apart
void setup_control_registers();  // each CPU

}  // namespace bulkhead::arch
