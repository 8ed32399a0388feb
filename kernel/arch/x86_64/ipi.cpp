// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/ipi.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/fpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/lock.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/arch/x86_64/switch.hpp"
#include "kernel/core/page_table.hpp"
#include "kernel/core/thread.hpp"

namespace bulkhead::arch {

extern "C" {
BargingLock kernel_lock;
}

namespace {

// A few pages one by one, everything else by reloading CR3 (no global user pages, no PCID: that flushes all
// of this root).
constexpr uint64_t kFlushByPage = 8 * abi::kPageSize;

void flush_host(CpuLocal& cpu, const core::PageTable* root, uint64_t address, uint64_t bytes) {
    if (cpu.root != root) return;
    ++cpu.counters.tlb;
    if (bytes == 0) {
        use_kernel_root(cpu);
    } else if (bytes <= kFlushByPage) {
        for (uint64_t offset = 0; offset < bytes; offset += abi::kPageSize) invlpg(address + offset);
    } else {
        write_cr3(read_cr3());
        ++cpu.counters.cr3;
    }
}

void ask(CpuLocal& target, IpiRequest kind) {
    target.request_kind = static_cast<uint32_t>(kind);
    const uint32_t sequence = target.request + 1;
    __atomic_store_n(&target.request, sequence, __ATOMIC_RELEASE);
    lapic::send_vector(target.apic_id, kVectorMailbox);
}
void await(CpuLocal& target) {
    while (__atomic_load_n(&target.done, __ATOMIC_ACQUIRE) != target.request) cpu_relax();
}

}  // namespace

bool service_mailbox(CpuLocal& cpu, EntryKind kind) {
    const uint32_t sequence = __atomic_load_n(&cpu.request, __ATOMIC_ACQUIRE);
    if (sequence == cpu.done) return false;
    bool stopped = false;
    switch (static_cast<IpiRequest>(cpu.request_kind)) {
        case IpiRequest::FlushHost:
            flush_host(cpu, cpu.request_root, cpu.request_address, cpu.request_bytes);
            break;
        case IpiRequest::LeaveGuest: break;  // being here is the answer: the next entry sees the new epoch
        case IpiRequest::Stop:
            if (cpu.core.current == cpu.request_thread) {
                // The system call has not begun: it will be made again when the thread is resumed.
                if (kind == EntryKind::Syscall) cpu.request_thread->user.rip -= 2;
                save_thread_state(cpu);
                stopped = true;
            }
            break;
        case IpiRequest::None: break;
    }
    __atomic_store_n(&cpu.done, sequence, __ATOMIC_RELEASE);
    return stopped;
}

bool lock_kernel_slow(CpuLocal& cpu, EntryKind kind) {
    bool cancelled = false;
    kernel_lock.take_slow([&] {
        if (service_mailbox(cpu, cancelled ? EntryKind::None : kind)) cancelled = true;
        cpu_relax();
    });
    return !cancelled;
}

void tlb_shootdown(core::PageTable& root, uint64_t address, uint64_t bytes) {
    CpuLocal& self = local();
    const bool guest = root.kind == abi::TableKind::Guest;
    advance_epoch(root);  // whoever loads it, or enters with it, from now on flushes
    if (!guest) flush_host(self, &root, address, bytes);
    uint64_t others = root.cpus & ~(uint64_t{1} << self.core.id);
    for (uint64_t rest = others; rest != 0; rest &= rest - 1) {
        CpuLocal& target = *cpu_locals[__builtin_ctzll(rest)];
        // Not in use there right now: loading the root, or entering with it, flushes.
        const core::PageTable* used =
            guest ? __atomic_load_n(&target.svm.guest_root, __ATOMIC_ACQUIRE) : target.root;
        if (used != &root) {
            others &= ~(rest & -rest);
            continue;
        }
        target.request_root = &root;
        target.request_address = address;
        target.request_bytes = bytes;
        ask(target, guest ? IpiRequest::LeaveGuest : IpiRequest::FlushHost);
    }
    for (uint64_t rest = others; rest != 0; rest &= rest - 1) await(*cpu_locals[__builtin_ctzll(rest)]);
}

void stop_remote(CpuId id, core::Thread& thread) {
    CpuLocal& target = *cpu_locals[id];
    target.request_thread = &thread;
    ask(target, IpiRequest::Stop);
    await(target);
}

void send_resched(CpuId id) {
    lapic::send_vector(cpu_locals[id]->apic_id, kVectorResched);
}

void halt_others() {
    if (cpu_count > 1) lapic::send_nmi_to_others();
}

}  // namespace bulkhead::arch
