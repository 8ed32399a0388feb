// SPDX-License-Identifier: Apache-2.0
// The end: registers, the current thread, and a symbolised back-trace on the serial ports and in the kernel
// log; the other CPUs halt, and the machine is reset unless "noreboot" forbids it.
#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/ipi.hpp"
#include "kernel/arch/x86_64/layout.h"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/arch/x86_64/reset.hpp"
#include "kernel/arch/x86_64/symbols.hpp"
#include "kernel/core/thread.hpp"

namespace bulkhead::arch {

// As isr_bug pushes it.
struct KernelFrame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax, vector, error, rip, cs,
        rflags, rsp, ss;
};

namespace {

uint32_t panicking;

void print_address(const char* what, uint64_t address) {
    const Symbol symbol = find_symbol(address);
    if (symbol.name != nullptr)
        kpanic_print("  ", what, Hex{address}, " ", symbol.name, "+", Hex{symbol.offset}, "\n");
    else
        kpanic_print("  ", what, Hex{address}, "\n");
}

// Follows frame pointers on this CPU's stacks only; a torn chain ends the trace.
void back_trace(uint64_t frame) {
    for (unsigned i = 0; i < 24; ++i) {
        const bool in_window = frame >= K_WINDOW_BASE && frame < kernel_memory.window_next;
        const bool in_image =
            frame >= reinterpret_cast<uint64_t>(data_start) && frame < reinterpret_cast<uint64_t>(image_end);
        if (frame % 8 != 0 || !(in_window || in_image)) return;
        const auto* words = reinterpret_cast<const uint64_t*>(frame);
        if (words[1] == 0) return;
        print_address("at ", words[1]);
        if (words[0] <= frame) return;
        frame = words[0];
    }
}

void print_cpu() {
    const CpuLocal* cpu = cpu_count != 0 ? &local() : nullptr;
    if (cpu == nullptr) return;
    const core::Thread* thread = cpu->core.current;
    if (thread == nullptr)
        kpanic_print("  CPU ", uint64_t{cpu->core.id}, ", no thread\n");
    else
        kpanic_print("  CPU ", uint64_t{cpu->core.id}, ", thread ", thread->header.id, " of domain ",
                     Hex{thread->header.tag}, ", user RIP ", Hex{thread->user.rip}, "\n");
}

[[noreturn]] void stop() {
    for (;;) asm volatile("cli\n\thlt");
}

void begin() {
    if (__atomic_exchange_n(&panicking, 1, __ATOMIC_ACQ_REL) != 0) stop();
    halt_others();
    uart_init();
    uart_enable(true);
}

// As Xen does after a panic. Before the machine is known there is no way to reset it, and what the screen
// says is all there is.
[[noreturn]] void end() {
    if (!reset_plan.known) stop();
    if (reset_plan.never) {
        kpanic_print("Manual reset required ('noreboot' specified)\n");
        stop();
    }
    kpanic_print("Reboot in five seconds...\n");
    reset_after_ms(5000);
}

}  // namespace

void reset_machine() {
    asm volatile("cli");
    begin();
    if (reset_plan.never) {
        kpanic_print("\n'noreboot' set - not rebooting.\n");
        stop();
    }
    reset_after_ms(0);
}

void panic(const char* what) {
    asm volatile("cli");
    begin();
    kpanic_print("\nkernel panic: ", what, "\n");
    print_cpu();
    back_trace(reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
    end();
}

extern "C" [[noreturn]] void exception_from_kernel(const KernelFrame* f) {
    begin();  // an NMI while another CPU panics ends here
    kpanic_print("\nkernel panic: exception ", f->vector, ", error ", Hex{f->error}, ", CR2 ",
                 Hex{read_cr2()}, "\n");
    print_address("RIP ", f->rip);
    kpanic_print("  RSP ", Hex{f->rsp}, " RFLAGS ", Hex{f->rflags}, " CR3 ", Hex{read_cr3()}, "\n");
    kpanic_print("  RAX ", Hex{f->rax}, " RBX ", Hex{f->rbx}, " RCX ", Hex{f->rcx}, " RDX ", Hex{f->rdx},
                 "\n");
    kpanic_print("  RSI ", Hex{f->rsi}, " RDI ", Hex{f->rdi}, " RBP ", Hex{f->rbp}, " R8  ", Hex{f->r8},
                 "\n");
    kpanic_print("  R9  ", Hex{f->r9}, " R10 ", Hex{f->r10}, " R11 ", Hex{f->r11}, " R12 ", Hex{f->r12},
                 "\n");
    kpanic_print("  R13 ", Hex{f->r13}, " R14 ", Hex{f->r14}, " R15 ", Hex{f->r15}, "\n");
    print_cpu();
    back_trace(f->rbp);
    end();
}

}  // namespace bulkhead::arch
