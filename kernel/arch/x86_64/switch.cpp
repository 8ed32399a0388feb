// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/switch.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/fpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/lock.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/core/page_table.hpp"
#include "kernel/core/thread.hpp"
#include "kernel/core/vcpu.hpp"

extern "C" [[noreturn]] void wait_for_interrupt();

namespace bulkhead::arch {
namespace {

uint64_t read_fs_base() {
    uint64_t v;
    asm volatile("rdfsbase %0" : "=r"(v));
    return v;
}
void write_fs_base(uint64_t v) { asm volatile("wrfsbase %0" ::"r"(v)); }

// In the kernel the user's GS base waits behind SWAPGS. Interrupts are off; NMIs bring their own GS base.
uint64_t read_user_gs_base() {
    uint64_t v;
    asm volatile("swapgs\n\trdgsbase %0\n\tswapgs" : "=r"(v));
    return v;
}
void write_user_gs_base(uint64_t v) { asm volatile("swapgs\n\twrgsbase %0\n\tswapgs" ::"r"(v)); }

void load_thread_state(CpuLocal& cpu, core::Thread& thread) {
    // A selector that the last thread left would tell this one something; loading null first, because it may clear the base.
    asm volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%fs" ::"r"(0));
    write_fs_base(thread.user.fs_base);
    write_user_gs_base(thread.user.gs_base);
    fpu_switch(cpu, thread.fpu());
    cpu.loaded = &thread;
}

void load_root(CpuLocal& cpu, core::PageTable* root) {
    if (cpu.root == root) return;
    root->cpus |= uint64_t{1} << cpu.core.id;
    cpu.root = root;
    write_cr3(direct_physical(root->entries()));
    ++cpu.counters.cr3;
}

[[noreturn]] void go_idle(CpuLocal& cpu) {
    save_thread_state(cpu);
    use_kernel_root(cpu);
    unlock_kernel();
    wait_for_interrupt();
}

}  // namespace

void fpu_switch(CpuLocal& cpu, void* area) {
    if (cpu.fpu_area == area) return;
    if (cpu.fpu_area != nullptr) fpu_save(cpu.fpu_area);
    fpu_load(area);
    cpu.fpu_area = area;
}

void save_thread_state(CpuLocal& cpu) {
    core::Thread* thread = cpu.loaded;
    if (thread == nullptr) return;
    thread->user.fs_base = read_fs_base();
    thread->user.gs_base = read_user_gs_base();
    fpu_save(cpu.fpu_area);
    cpu.fpu_area = nullptr;
    cpu.loaded = nullptr;
}

UserContext* leave_kernel(CpuLocal& cpu) {
    for (;;) {
        core::Thread* thread = cpu.core.current;
        if (thread == nullptr) go_idle(cpu);
        if (thread != cpu.loaded) {
            save_thread_state(cpu);
            load_thread_state(cpu, *thread);
            cpu.context = &thread->user;
        }
        cpu.frame.rip = thread->upcall;
        load_root(cpu, thread->root);
        if (thread->guest == nullptr) {
            fpu_switch(cpu, thread->fpu());
            break;
        }
        svm::run(cpu, *thread);
    }
    unlock_kernel();
    return cpu.context;
}

}  // namespace bulkhead::arch
