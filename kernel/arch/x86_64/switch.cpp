// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/switch.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/fpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/load_root.hpp"
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
void write_fs_base(uint64_t v) {
    asm volatile("wrfsbase %0" ::"r"(v));
}

inline void* live_fpu(const CpuLocal& cpu) {
    return cpu.guest_fpu != nullptr ? cpu.guest_fpu : cpu.loaded->fpu();
}

// In the kernel the user's GS base waits behind SWAPGS. Interrupts are off; NMIs bring their own GS base.
uint64_t exchange_user_gs_base(uint64_t next) {
    uint64_t last;
    asm volatile("swapgs\n\trdgsbase %0\n\twrgsbase %1\n\tswapgs" : "=&r"(last) : "r"(next));
    return last;
}

// The CPU holds nobody's state, or `cpu.loaded`'s; afterwards, `thread`'s.
inline void switch_thread(CpuLocal& cpu, core::Thread& thread) {
    const uint64_t gs_base = exchange_user_gs_base(thread.user.gs_base);
    if (core::Thread* last = cpu.loaded; last != nullptr) [[likely]] {
        last->user.gs_base = gs_base;
        last->user.fs_base = read_fs_base();
        fpu_save(live_fpu(cpu));
    }
    write_fs_base(thread.user.fs_base);
    fpu_load(thread.fpu());
    cpu.guest_fpu = nullptr;
    cpu.loaded = &thread;
}

[[noreturn]] void go_idle(CpuLocal& cpu) {
    save_thread_state(cpu);
    use_kernel_root(cpu);
    unlock_kernel();
    wait_for_interrupt();
}

}  // namespace

void fpu_switch(CpuLocal& cpu, void* guest_area) {
    if (cpu.guest_fpu == guest_area) return;
    fpu_save(live_fpu(cpu));
    fpu_load(guest_area != nullptr ? guest_area : cpu.loaded->fpu());
    cpu.guest_fpu = guest_area;
}

void save_thread_state(CpuLocal& cpu) {
    core::Thread* thread = cpu.loaded;
    if (thread == nullptr) return;
    thread->user.fs_base = read_fs_base();
    thread->user.gs_base = exchange_user_gs_base(0);
    fpu_save(live_fpu(cpu));
    cpu.guest_fpu = nullptr;
    cpu.loaded = nullptr;
}

UserContext* leave_kernel(CpuLocal& cpu) {
    core::Thread* thread = cpu.core.current;
    if (thread != cpu.loaded || thread == nullptr) {
        if (thread == nullptr) go_idle(cpu);
        switch_thread(cpu, *thread);
    }
    if (cpu.root != thread->root) load_root(cpu, thread->root);
    if (thread->guest != nullptr) svm::run(cpu, *thread);
    if (cpu.guest_fpu != nullptr) fpu_switch(cpu, nullptr);
    unlock_kernel();
    return &thread->user;
}

extern "C" UserContext* syscall_from_user(CpuLocal* cpu) {
    if (lock_kernel(*cpu, EntryKind::Syscall)) [[likely]]
        core::handle_syscall(cpu->core);
    else
        core::handle_resched(cpu->core);
    return leave_kernel(*cpu);
}

// A fast path has declined; it leaves the lock taken.
extern "C" UserContext* syscall_declined(CpuLocal* cpu) {
    core::dispatch_declined(cpu->core);
    return leave_kernel(*cpu);
}

}  // namespace bulkhead::arch
