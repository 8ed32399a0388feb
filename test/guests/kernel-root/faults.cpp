// SPDX-License-Identifier: Apache-2.0
#include "test/guests/kernel-root/faults.hpp"

#include <cstring>
#include <thread>

// Registers (RAX RBX RCX RDX RSI RDI RBP R8..R15), RFLAGS and XMM0 around an instruction that faults.
struct Probe {
    uint64_t before[15], after[15];
    uint64_t flags_before, flags_after;
    uint64_t vector_before[2], vector_after[2];
};

asm(R"(
    .text
    .macro PROBE name, instruction:vararg
\name:
    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
    push %rdi
    movups 256(%rdi), %xmm0
    push 240(%rdi); popfq
    mov 0(%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx; mov 32(%rdi), %rsi
    mov 48(%rdi), %rbp; mov 56(%rdi), %r8; mov 64(%rdi), %r9; mov 72(%rdi), %r10; mov 80(%rdi), %r11
    mov 88(%rdi), %r12; mov 96(%rdi), %r13; mov 104(%rdi), %r14; mov 112(%rdi), %r15; mov 40(%rdi), %rdi
    \instruction
    pushfq
    xchg %rax, 8(%rsp)
    mov %rbx, 128(%rax); mov %rcx, 136(%rax); mov %rdx, 144(%rax); mov %rsi, 152(%rax); mov %rdi, 160(%rax)
    mov %rbp, 168(%rax); mov %r8, 176(%rax); mov %r9, 184(%rax); mov %r10, 192(%rax); mov %r11, 200(%rax)
    mov %r12, 208(%rax); mov %r13, 216(%rax); mov %r14, 224(%rax); mov %r15, 232(%rax)
    movups %xmm0, 272(%rax)
    pop 248(%rax)
    pop 120(%rax)
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
    ret
    .endm
    PROBE probe_undefined, ud2
    PROBE probe_nowhere, mov (%rax), %rax
)");
extern "C" void probe_undefined(Probe*);
extern "C" void probe_nowhere(Probe*);

namespace bulkhead::kernel_root {
namespace {

constexpr uint64_t kNowhere = 0x7ff0'0000'0000;

struct Handler {
    CapAddr endpoint, reply;
    uint64_t rip = 0, address = 0, vector = 0, faults = 0, badge = 0;
    bool registers_came = false;
};

// Answers each fault by going on behind its instruction; ends when it is called.
void handle(Handler& h) {
    abi::IpcBuffer& buffer = cap::ipc_buffer();
    std::memset(buffer.data, 0xee, sizeof(abi::ThreadRegisters));
    cap::IpcResult fault = sys::ipc_recv(h.endpoint, h.reply, abi::kDeadlineNever);
    while (fault.ok() && fault.tag.label() == abi::kFaultLabel) {
        h.rip = fault.w[0];
        h.address = fault.w[1];
        h.vector = fault.w[3];
        h.badge = fault.badge;
        ++h.faults;
        for (size_t i = 0; i < sizeof(abi::ThreadRegisters); ++i)
            if (buffer.data[i] != 0xee) h.registers_came = true;
        const cap::Message on{abi::MessageTag{abi::kFaultResumeAt, 1, 0},
                              {h.rip + (h.vector == 14 ? 3u : 2u)}};
        fault = sys::ipc_reply_recv(h.endpoint, on, h.reply, abi::kDeadlineNever);
    }
    (void)sys::ipc_reply(h.reply, cap::Message{});
}

void probe(void (*routine)(Probe*), const char* what) {
    Probe p{};
    uint64_t value = 0x9e37'79b9'7f4a'7c15;
    for (auto& r : p.before) r = value *= 0x2545'f491'4f6c'dd1d;
    p.before[0] = kNowhere;
    p.flags_before = 0x202 | 0x8c5;  // CF PF ZF SF OF
    p.vector_before[0] = 0x0123'4567'89ab'cdef;
    p.vector_before[1] = 0xfedc'ba98'7654'3210;
    routine(&p);
    check(std::memcmp(p.before, p.after, sizeof p.before) == 0 && p.flags_before == p.flags_after &&
              std::memcmp(p.vector_before, p.vector_after, sizeof p.vector_before) == 0,
          what, p.flags_after);
}

}  // namespace

void faults(Resources& r) {
    Handler h{.endpoint = r.make(abi::ObjectType::Endpoint), .reply = r.make(abi::ObjectType::Reply)};
    const CapAddr four_words = r.slot();
    Status status = sys::cap_mint(four_words, h.endpoint, abi::rights::kWrite, 7);
    check(status == Status::Ok, "minting the fault endpoint", static_cast<uint64_t>(status));
    std::thread beside{[&h] { handle(h); }};
    (void)sys::yield();
    status = sys::thread_set(cap::kMainThread, abi::ThreadSlot::FaultEndpoint, four_words);
    check(status == Status::Ok, "setting the fault endpoint", static_cast<uint64_t>(status));
    for (unsigned i = 0; i < 3; ++i) {
        probe(probe_undefined, "an exception changes no register");
        check(h.vector == 6 && h.address == 0, "it was an undefined instruction", h.vector);
        probe(probe_nowhere, "a page fault changes no register");
        check(h.vector == 14 && h.address == kNowhere, "its address arrives", h.address);
    }
    check(h.faults == 6 && h.badge == 7 && !h.registers_came, "each arrives once, in four words", h.faults);
    (void)sys::thread_set(cap::kMainThread, abi::ThreadSlot::FaultEndpoint, CapAddr{});
    (void)sys::ipc_call(h.endpoint, cap::Message{});
    beside.join();
}

}  // namespace bulkhead::kernel_root
