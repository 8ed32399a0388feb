// SPDX-License-Identifier: Apache-2.0
// The seam between the portable kernel (kernel/core, host-testable) and the machine (kernel/arch/x86_64).
// core calls what `namespace arch` declares here; arch calls what `namespace core` declares. The host tests
// link a fake arch. Everything below runs with interrupts off. `core` functions run under the kernel lock,
// taken by arch at entry.
#pragma once

#include "abi/syscall.hpp"
#include "abi/vcpu.hpp"

#include <stddef.h>

namespace bulkhead {

using CpuId = uint32_t;
struct PhysAddr {
    uint64_t raw;
    friend constexpr bool operator==(PhysAddr, PhysAddr) = default;
};

// User registers as entry code saves them; first member of core::Thread (offset 0), so that entry code needs
// one pointer. `by_syscall` is 1 while user mode runs and after an entry by `syscall`: then RCX and R11 need
// not be restored and the return may be SYSRET; an interrupt or exception clears it.
struct UserContext {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rsp, rflags, cs, ss;
    uint64_t fs_base, gs_base;  // saved at a switch of threads only (FSGSBASE lets user level change them)
    uint64_t by_syscall;
    uint64_t vector, error, address;  // of the last exception
};
static_assert(offsetof(UserContext, rip) == 120);

namespace core {
struct Thread;
struct Vcpu;
struct PageTable;
struct Cpu;  // portable per-CPU state: current thread, ready queue, deadlines

// Called by arch, under the lock. Each returns with `cpu.current` being what should run now (nullptr: idle
// until an interrupt). arch's exit path switches when cpu.current is not the thread whose state the CPU holds
// (FPU, FS/GS base, root: saved at the latest when the CPU goes idle or takes another thread; a blocked
// thread's state is always in memory when the lock is free). It loads cpu.current->root whenever that differs
// from the root that is loaded, even if the thread is the same.
void handle_syscall(Cpu&);     // registers in cpu.current's UserContext
void dispatch_declined(Cpu&);  // the same, when a fast path on live registers has declined
void handle_exception(Cpu&);   // vector, error, address in cpu.current's UserContext: becomes a fault message
void handle_timer(Cpu&, uint64_t now);             // deadlines, budgets, quantum
void handle_device_interrupt(Cpu&, uint32_t gsi);  // masked already if level; signals the bound notification
void handle_resched(Cpu&);  // another CPU made something ready here, or stops something here
void handle_vcpu_exit(Cpu&, Vcpu&, abi::ExitReason);  // for its VMM; state page written by arch
bool log_wants(abi::LogLevel);                        // is a line of the kernel's with this level logged?
bool log_panic(const char* text,
               size_t bytes);  // appends to the kernel log without the lock, for the panic path
}  // namespace core

namespace arch {
// Memory. All RAM is mapped at a fixed offset, cacheable, not executable.
void* phys_to_virt(PhysAddr);
PhysAddr virt_to_phys(const void*);
void zero_page(void* page);  // 4096 bytes
// Mappings: write-combining uses PAT entry 1 (PWT), uncached uses entry 3 (PCD, PWT); arch programs the PAT
// so.
bool preemption_pending();  // an interrupt waits: a long operation should stop at its next consistent point

uint64_t now();  // TSC
void set_timer(
    uint64_t deadline_tsc);  // this CPU; kDeadlineNever: off. Arch caches it and skips redundant writes
void send_resched(CpuId);    // -> core::handle_resched there, soon

// Translations. `root` is a level-4 table (Host or Guest by root.kind); root.cpus: CPUs that may hold
// translations of it. Returns when no CPU in root.cpus can use a stale translation of [address, address +
// bytes). Called with the lock held; remote CPUs acknowledge even while they spin on the lock. bytes == 0:
// everything, and no CPU may keep the root loaded (it is about to be destroyed: a CPU that idles on it must
// load another).
void tlb_shootdown(core::PageTable& root, uint64_t address, uint64_t bytes);
void init_host_root(void* table);  // copies the kernel half into a new level-4 table

// `thread` is current on CPU `cpu`, another one: returns when that CPU has left user mode (or the guest) and
// all state of the thread (registers, floating point, FS and GS base, guest state) is in memory. core then
// sets that CPU's cpu.current to nullptr, and sends it a resched. If that CPU was on its way into the kernel
// (spins on the lock), its event is cancelled: a system call will be executed again (RIP back on the
// `syscall` instruction), an exception or guest exit will happen again; when it gets the lock, arch calls
// core::handle_resched instead of the event's handler.
void stop_remote(CpuId, core::Thread&);

// Floating point: `area` is arch::fpu_bytes() long, 64-byte aligned, inside the object.
uint64_t fpu_bytes();
void fpu_init(void* area);  // x87 default, MXCSR 0x1f80

// Virtual CPUs. The arch part of a Vcpu (VMCB, host state) is arch::vcpu_bytes() long, page-aligned.
uint64_t vcpu_bytes();
bool vcpu_available();
void vcpu_init(void* area);
// Decodes the state page (once), validates, programs the VMCB. Not Ok: nothing changed, *field names the
// offender.
abi::Status vcpu_prepare(void* area, abi::VcpuState& page, uint64_t* field);
// The run ends for a reason that the hardware did not report (Notified, Timeout): writes the guest's state
// and `reason` into the state page, as an exit does (Synced: all groups). Called on the CPU that last ran it,
// or after stop_remote.
void vcpu_leave(void* area, abi::VcpuState& page, abi::ExitReason reason);
void vcpu_destroy(void* area);  // it will not run again; called before its memory is reused
// arch's exit path enters cpu.current->guest, if that is not nullptr, instead of user mode. When the guest
// exits for its VMM, arch writes the state page (cpu.current->guest->page) and calls core::handle_vcpu_exit;
// when it exits for a host interrupt, arch keeps the guest's state in `area` and handles the interrupt: the
// thread enters the guest again when it next runs.

void irq_mask(uint32_t gsi);
void irq_unmask(uint32_t gsi);
bool irq_setup(uint32_t gsi, uint32_t flags);  // false: no such interrupt
void irq_release(uint32_t gsi);
uint64_t port_in(uint16_t port, unsigned bytes);
void port_out(uint16_t port, unsigned bytes, uint64_t value);
void uart_write(const char* text, size_t bytes);
void uart_enable(bool on);
[[noreturn]] void panic(const char* what);
void reset_machine();  // or stops it for good, if the operator wants that ("noreboot"); does not return

struct Counters {
    uint64_t cr3, wrmsr, ipi, tlb;
};
Counters counters(bool reset);
}  // namespace arch
}  // namespace bulkhead
