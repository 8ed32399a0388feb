// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/smp.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/arch/x86_64/start.hpp"
#include "kernel/arch/x86_64/window.hpp"
#include "kernel/init/clock.hpp"

extern "C" {
extern char trampoline_start[], trampoline_end[], trampoline_long[], trampoline_gdt[],
    trampoline_gdt_pointer[], trampoline_far[], trampoline_cr3[], trampoline_stack[], trampoline_argument[],
    trampoline_entry[];
extern uint64_t boot_pml4[512];
}

namespace bulkhead::init {

using arch::CpuLocal;

namespace {

constexpr uint64_t kStackBytes = 16 * 1024, kIstBytes = 4096;

uint64_t make_ist(CpuLocal& cpu) {
    const uint64_t top = arch::map_stack(kIstBytes);
    *reinterpret_cast<CpuLocal**>(top - 8) = &cpu;
    return top - 16;
}

// A page that real mode can reach and nobody uses; 0: none.
uint64_t find_low_page(const abi::BootInfo& info) {
    for (uint32_t i = 0; i < info.ranges; ++i) {
        const abi::MemoryRange& r = info.range[i];
        if (r.type == abi::MemoryType::Free && r.base < 0xa0000 && r.base + r.size > 0x2000) {
            const uint64_t end = r.base + r.size < 0xa0000 ? r.base + r.size : 0xa0000;
            return end - abi::kPageSize;
        }
    }
    return 0;
}

template <typename T>
void poke(uint64_t page, const char* symbol, T value) {
    __builtin_memcpy(static_cast<char*>(arch::direct(page)) + (symbol - trampoline_start), &value, sizeof(T));
}

void place_trampoline(uint64_t page) {
    __builtin_memcpy(arch::direct(page), trampoline_start,
                     static_cast<uint64_t>(trampoline_end - trampoline_start));
    poke(page, trampoline_gdt_pointer + 2,
         static_cast<uint32_t>(page + static_cast<uint64_t>(trampoline_gdt - trampoline_start)));
    poke(page, trampoline_far,
         static_cast<uint32_t>(page + static_cast<uint64_t>(trampoline_long - trampoline_start)));
    poke(page, trampoline_cr3, arch::virt_to_phys(boot_pml4).raw);
    poke(page, trampoline_entry, reinterpret_cast<uint64_t>(&arch::start_other_cpu));
    for (unsigned i = 256; i < 512; ++i) boot_pml4[i] = arch::kernel_memory.root[i];
}

bool wake(uint64_t page, CpuLocal& cpu) {
    constexpr uint32_t kInit = 0x4500, kStartup = 0x4600;
    poke(page, trampoline_stack, cpu.stack);
    poke(page, trampoline_argument, reinterpret_cast<uint64_t>(&cpu));
    asm volatile("mfence" ::: "memory");
    arch::lapic::send(cpu.apic_id, kInit);
    delay_us(10'000);
    for (unsigned attempt = 0; attempt < 2; ++attempt) {
        arch::lapic::send(cpu.apic_id, kStartup | static_cast<uint32_t>(page >> 12));
        for (unsigned i = 0; i < (attempt == 0 ? 20u : 10'000u); ++i) {
            if (__atomic_load_n(&cpu.online, __ATOMIC_ACQUIRE) != 0) return true;
            delay_us(100);
        }
    }
    return false;
}

}  // namespace

void prepare_cpu(uint32_t id, uint32_t apic_id, EarlyMemory& memory) {
    constexpr uint64_t kPages = (sizeof(CpuLocal) + abi::kPageSize - 1) / abi::kPageSize;
    auto& cpu = *static_cast<CpuLocal*>(arch::direct(memory.pages(kPages)));
    cpu.self = &cpu;
    cpu.upcall_frame = &cpu.frame;
    cpu.frame = {0, SEL_UCODE, 0x202, 0, SEL_UDATA};
    cpu.stack = arch::map_stack(kStackBytes);
    cpu.tss.rsp[0] = cpu.stack;
    cpu.tss.ist[arch::kIstNmi - 1] = make_ist(cpu);
    cpu.tss.ist[arch::kIstMce - 1] = make_ist(cpu);
    cpu.tss.ist[arch::kIstDf - 1] = make_ist(cpu);
    cpu.core.id = id;
    cpu.bit = uint64_t{1} << id;
    cpu.apic_id = apic_id;
    cpu.timer_deadline = abi::kDeadlineNever;
    if (arch::features.svm) cpu.svm.save_area = memory.pages(arch::svm::kHostPages);
    arch::cpu_locals[id] = &cpu;
}

void start_cpus(const abi::BootInfo& info, EarlyMemory& memory) {
    arch::cpu_count = 1;
    const uint64_t page = find_low_page(info);
    if (info.cpus > 1 && page == 0) {
        arch::klog(abi::LogLevel::Warning, "kernel: no free page below 640 KiB: only one CPU is used\n");
        return;
    }
    if (info.cpus > 1) place_trampoline(page);
    for (uint32_t i = 1; i < info.cpus; ++i) {
        const uint32_t id = arch::cpu_count;
        prepare_cpu(id, info.cpu[i].apic_id, memory);
        if (wake(page, *arch::cpu_locals[id]))
            ++arch::cpu_count;
        else
            arch::klog(abi::LogLevel::Warning, "kernel: the CPU with APIC ID ", uint64_t{info.cpu[i].apic_id},
                       " does not start\n");
    }
}

}  // namespace bulkhead::init
