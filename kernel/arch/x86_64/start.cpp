// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/start.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/lock.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/arch/x86_64/switch.hpp"

extern "C" {
[[noreturn]] void wait_for_interrupt();
[[noreturn]] void enter_user_first(bulkhead::UserContext*);
}

namespace bulkhead::arch {

CpuLocal* cpu_locals[abi::kMaxCpus];
uint32_t cpu_count;

void setup_this_cpu(CpuLocal& cpu) {
    const uint64_t svm_pages = cpu.svm.save_area;
    setup_control_registers();
    write_cr3(kernel_memory.root_physical);
    load_descriptors(cpu);
    lapic::init();
    if (features.svm) svm::enable(cpu, svm_pages);
}

void start_other_cpu(CpuLocal* cpu) {
    setup_this_cpu(*cpu);
    __atomic_store_n(&cpu->online, 1, __ATOMIC_RELEASE);
    wait_for_interrupt();
}

namespace {
// Boot code is mapped by 4 KiB pages, not global; no other CPU ever touched it.
void unmap_boot_code() {
    for (uint64_t at = reinterpret_cast<uint64_t>(init_start); at < reinterpret_cast<uint64_t>(init_end);
         at += abi::kPageSize) {
        uint64_t* table = kernel_memory.root;
        for (unsigned shift = 39; shift > 12; shift -= 9)
            table = static_cast<uint64_t*>(direct(table[(at >> shift) & 511] & pte::kAddress));
        table[(at >> 12) & 511] = 0;
    }
}

extern "C" [[noreturn, gnu::used]] void enter_root_task_on_own_stack() {
    unmap_boot_code();
    write_cr3(kernel_memory.root_physical);
    CpuLocal& cpu = local();
    static_cast<void>(lock_kernel(cpu, EntryKind::None));
    core::handle_resched(cpu.core);
    enter_user_first(leave_kernel(cpu));
}

}  // namespace

// The boot stack goes with boot code.
void enter_root_task() {
    asm volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tcall enter_root_task_on_own_stack" ::"r"(local().stack)
                 : "memory");
    __builtin_unreachable();
}

}  // namespace bulkhead::arch
