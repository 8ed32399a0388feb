// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/descriptor.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/layout.h"
#include "kernel/arch/x86_64/local.hpp"

extern "C" {
extern const char isr_stubs[];
void syscall_entry();
}

namespace bulkhead::arch {
namespace {

struct Gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};
static_assert(sizeof(Gate) == 16);
alignas(4096) Gate idt[256];

struct [[gnu::packed]] TablePointer {
    uint16_t limit;
    uint64_t base;
};

constexpr uint8_t kUserGate = 0xee;  // the same for user mode: INT3 is the one instruction that may
constexpr uint8_t kInterruptGate =
    0x8e;  // present, DPL 0, 64-bit interrupt gate: `int n` from user mode is a #GP
constexpr uint64_t kStubBytes = 16;
constexpr uint64_t kSyscallMask = 0x100 | 0x200 | 0x400 | 0x3000 | 0x4000 | 0x40000;  // TF IF DF IOPL NT AC

uint8_t ist_of(unsigned vector) {
    switch (vector) {
        case 2: return kIstNmi;
        case 8: return kIstDf;
        case 18: return kIstMce;
        default: return kIstNone;
    }
}
}  // namespace

void build_idt() {
    for (unsigned v = 0; v < 256; ++v) {
        const uint64_t stub = reinterpret_cast<uint64_t>(isr_stubs) + v * kStubBytes;
        idt[v] = {static_cast<uint16_t>(stub),
                  SEL_KCODE,
                  ist_of(v),
                  v == 3 ? kUserGate : kInterruptGate,
                  static_cast<uint16_t>(stub >> 16),
                  static_cast<uint32_t>(stub >> 32),
                  0};
    }
}

void load_descriptors(CpuLocal& cpu) {
    const uint64_t tss = reinterpret_cast<uint64_t>(&cpu.tss);
    cpu.gdt[0] = 0;
    cpu.gdt[1] = 0x00af9b000000ffff;  // kernel code: 64-bit, DPL 0, accessed
    cpu.gdt[2] = 0x00cf93000000ffff;  // kernel data
    cpu.gdt[3] = 0;                   // 32-bit user code: not offered
    cpu.gdt[4] = 0x00cff3000000ffff;  // user data
    cpu.gdt[5] = 0x00affb000000ffff;  // user code: 64-bit, DPL 3
    cpu.gdt[6] =
        (sizeof(Tss) - 1) | ((tss & 0xffffff) << 16) | (uint64_t{0x89} << 40) | (((tss >> 24) & 0xff) << 56);
    cpu.gdt[7] = tss >> 32;
    cpu.tss.io_map = sizeof(Tss);  // beyond the limit: no port is open to user mode

    const TablePointer gdt_pointer{sizeof(cpu.gdt) - 1, reinterpret_cast<uint64_t>(cpu.gdt)};
    const TablePointer idt_pointer{sizeof(idt) - 1, reinterpret_cast<uint64_t>(idt)};
    asm volatile(
        "lgdt %0\n\t"
        "lidt %1\n\t"
        "push %2\n\t"
        "lea 1f(%%rip), %%rax\n\t"
        "push %%rax\n\t"
        "lretq\n"
        "1:\n\t"
        "mov %3, %%eax\n\t"
        "mov %%eax, %%ss\n\t"
        "xor %%eax, %%eax\n\t"
        "mov %%eax, %%ds\n\t"
        "mov %%eax, %%es\n\t"
        "mov %%eax, %%fs\n\t"
        "mov %%eax, %%gs\n\t"
        "lldt %%ax\n\t"
        "mov %4, %%eax\n\t"
        "ltr %%ax\n\t" ::"m"(gdt_pointer),
        "m"(idt_pointer), "i"(SEL_KCODE), "i"(SEL_KDATA), "i"(SEL_TSS)
        : "rax", "memory");
    wrmsr(msr::kGsBase, reinterpret_cast<uint64_t>(&cpu));
    wrmsr(msr::kKernelGsBase, 0);
    wrmsr(msr::kFsBase, 0);
    wrmsr(msr::kStar, (uint64_t{SEL_SYSRET_BASE | 3} << 48) | (uint64_t{SEL_KCODE} << 32));
    wrmsr(msr::kLstar, reinterpret_cast<uint64_t>(&syscall_entry));
    wrmsr(msr::kCstar, 0);
    wrmsr(msr::kSfmask, kSyscallMask);
}

}  // namespace bulkhead::arch
