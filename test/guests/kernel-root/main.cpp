// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "abi/vcpu.hpp"
#include "lib/cap/environment.hpp"
#include "test/guests/kernel-root/faults.hpp"
#include "test/guests/kernel-root/guest_code.hpp"
#include "test/guests/kernel-root/smp.hpp"

namespace bulkhead::kernel_root {
namespace {

using abi::ExitReason;
using abi::VcpuState;
using cap::CapAddr;
using cap::Status;
namespace sys = cap::sys;

cap::Result run(const Guest& g, uint64_t deadline = abi::kDeadlineNever) {
    return sys::vcpu_run(g.vcpu, deadline);
}

void expect(const Guest& g, ExitReason reason, const char* what) {
    const cap::Result r = run(g);
    check(r.status == Status::Ok && g.state->reason == reason, what,
          (static_cast<uint64_t>(r.status) << 32) | (static_cast<uint64_t>(g.state->reason) << 16) |
              g.state->exit_code);
}

void basic_exits(const Guest& g) {
    std::memcpy(g.memory + 0x1000, kGuestCode, sizeof(kGuestCode));
    reset_state(*g.state, 0x1000);
    VcpuState& s = *g.state;
    expect(g, ExitReason::Cpuid, "cpuid exits");
    check(s.gpr[3] == 0x1234, "BX came out", s.gpr[3]);
    check(s.rip == 0x1003, "RIP at cpuid", s.rip);
    s.rip += 2;
    expect(g, ExitReason::Hypercall, "vmmcall exits");
    s.rip += 3;
    expect(g, ExitReason::Io, "out exits");
    check(s.io_port == 0x80 && s.io_in == 0 && s.io_bytes == 1 && (s.gpr[0] & 0xff) == 0x3f, "out decoded",
          s.io_port);
    s.rip = s.next_rip;
    expect(g, ExitReason::Io, "in exits");
    check(s.io_port == 0x60 && s.io_in == 1, "in decoded", s.io_port);
    s.gpr[0] = 0x77;
    s.rip = s.next_rip;
    expect(g, ExitReason::NestedFault, "a read beyond memory exits");
    check(s.guest_physical == 0xf0077, "its address", s.guest_physical);
    s.rip += 3;
    expect(g, ExitReason::Hlt, "hlt exits");
    s.rip += 1;
}

void controls(const Guest& g) {
    VcpuState& s = *g.state;
    s.cr4 = 1 << 30;
    s.dirty = VcpuState::kControl;
    cap::Result r = run(g);
    check(r.status == Status::VcpuInvalid && r.r0 == offsetof(VcpuState, cr4),
          "reserved CR4 bits are refused", r.r0);
    s.cr4 = 0;
    s.inject = 0x80000c00;
    s.dirty = 0;
    r = run(g);
    check(r.status == Status::VcpuInvalid && r.r0 == offsetof(VcpuState, inject), "bad injection is refused",
          r.r0);
    s.inject = 0;

    s.rip = 0x1000 + kSpinOffset;
    s.rflags = 0x202;
    const uint64_t start = tsc();
    r = run(g, start + 20'000'000);
    check(r.status == Status::Timeout && s.reason == ExitReason::Timeout && tsc() - start >= 20'000'000,
          "a deadline ends a spinning guest", tsc() - start);
    check(sys::signal(g.ring) == Status::Ok, "signal");
    r = run(g);
    check(r.status == Status::Notified, "a signal beats entry", static_cast<uint64_t>(r.status));

    s.flags = VcpuState::kSyncOnly;
    r = run(g);
    check(r.status == Status::Ok && s.reason == ExitReason::Synced && s.valid == VcpuState::kAllGroups &&
              s.flags == 0,
          "sync only");
    check(s.cs.limit == 0xffff && s.dr7 == 0x400 && s.xcr0 == 1, "all groups are saved");

    s.rip = 0x1000 + kOpenOffset;
    s.rflags = 2;
    s.want_window = 1;
    expect(g, ExitReason::InterruptWindow, "an interrupt window opens");
    check(s.rip == 0x1000 + kOpenOffset + 1 && (s.rflags & 0x200) != 0, "after STI", s.rip);
    s.interrupt_shadow = 0;
    s.want_window = 0;
    std::memcpy(g.memory + 0x20 * 4, "\x00\x20\x00\x00", 4);  // vector 0x20 -> 0000:2000
    g.memory[0x2000] = 0xf4;
    s.gpr[4] = 0x8000;
    s.inject = 0x80000020;
    expect(g, ExitReason::Hlt, "an injected interrupt arrives");
    check(s.rip == 0x2000, "in its handler", s.rip);
}

// Its handler, with IF = 0, still runs when the host's timer ends the turn: see make_tcg_forget() in svm.cpp.
void injection(const Guest& g) {
    constexpr uint8_t kHandler[] = {0xfe, 0x06, 0x00, 0x30, 0xeb, 0xfe};  // incb 0x3000; spin: jmp spin
    std::memcpy(g.memory + 0x2000, kHandler, sizeof kHandler);
    std::memcpy(g.memory + 0x20 * 4, "\x00\x20\x00\x00", 4);
    g.memory[0x3000] = 0;
    VcpuState& s = *g.state;
    reset_state(s, 0x1000 + kSpinOffset);
    s.rflags = 0x202;
    s.gpr[4] = 0x8000;
    s.inject = 0x80000020;
    const cap::Result r = run(g, tsc() + 20'000'000);
    check(r.status == Status::Timeout && s.rip == 0x2004, "an injected interrupt's handler runs on", s.rip);
    check(g.memory[0x3000] == 1, "and was entered once", g.memory[0x3000]);
}

void debug_registers(const Guest& g) {
    VcpuState& s = *g.state;
    s.rip = 0x1000 + kDebugOffset;
    s.rflags = 2;
    expect(g, ExitReason::Hypercall, "DR0 is the guest's");
    check((s.gpr[0] & 0xffffffff) == 0x12345678, "it reads what it wrote", s.gpr[0]);
    s.rip += 3;
    expect(g, ExitReason::Hypercall, "DR0 again");
    check((s.gpr[0] & 0xffffffff) == 0x12345678, "and after an exit", s.gpr[0]);
}

// A VMM that writes nonsense: whatever it does, it gets an answer and the kernel lives.
void hostile(const Guest& g) {
    uint64_t seed = 88172645463325252;
    const auto random = [&seed] {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        return seed ^= seed << 17;
    };
    constexpr unsigned kRounds = 3000;
    unsigned entered = 0, refused = 0;
    for (unsigned i = 0; i < kRounds; ++i) {
        VcpuState& s = *g.state;
        reset_state(s, 0x1000 + kSpinOffset);
        s.rflags = 0x202;
        auto* words = reinterpret_cast<uint64_t*>(&s);
        for (unsigned n = 0; n < 1 + random() % 8; ++n) {
            const uint64_t interesting[] = {0, ~uint64_t{0}, random(), uint64_t{1} << (random() % 64),
                                            random() & 0xffff};
            words[random() % (sizeof(VcpuState) / 8)] = interesting[random() % 5];
        }
        if (random() % 3 == 0) s.tr.attributes = static_cast<uint16_t>(random());
        if (random() % 3 == 0) s.efer = random() & 0xd01;
        if (random() % 4 == 0) s.cr0 = random() & 0xe005003f;
        if (random() % 4 == 0) s.cr4 = random() & 0x3707ff;
        // QEMU 7.2 cannot leave a guest that has LME without PAE: its #VMEXIT sets CR0.PG before CR4 and
        // drops the host's CR0.
        if ((s.efer & 0x100) != 0) s.cr4 |= 0x20;
        s.flags &= ~VcpuState::kSyncOnly;
        s.dirty = VcpuState::kAllGroups;
        const cap::Result r = run(g, tsc() + 30'000);
        r.status == Status::VcpuInvalid ? ++refused : ++entered;
    }
    check(entered > kRounds / 10 && refused > kRounds / 10, "a VMM that writes nonsense is answered",
          entered);
    reset_state(*g.state, 0x1000);
    expect(g, ExitReason::Cpuid, "the vCPU can be set right again");
}

void cost(const Guest& g) {
    VcpuState& s = *g.state;
    s.rip = 0x1000 + kCallLoopOffset;
    constexpr unsigned kRounds = 1000;
    const uint64_t start = tsc();
    for (unsigned i = 0; i < kRounds; ++i) {
        (void)run(g);
        s.rip += 3;
    }
    std::printf("cost: guest exit, VMM, resume: %lu ticks\n",
                static_cast<unsigned long>((tsc() - start) / kRounds));
    const uint64_t null_start = tsc();
    for (unsigned i = 0; i < kRounds; ++i) (void)sys::null_call();
    std::printf("cost: null call: %lu ticks\n", static_cast<unsigned long>((tsc() - null_start) / kRounds));
}

void threads() {
    double sum = 0;
    std::vector<std::thread> workers;
    std::vector<double> parts(4);
    for (unsigned i = 0; i < parts.size(); ++i)
        workers.emplace_back([&parts, i] {
            for (unsigned n = 1; n < 2'000'000; ++n) parts[i] += 1.0 / n;
        });
    for (auto& w : workers) w.join();
    for (const double p : parts) sum += p;
    check(sum == 4 * parts[0] && sum > 60, "floating point survives switches of threads");
}

}  // namespace
}  // namespace bulkhead::kernel_root

int main() {
    using namespace bulkhead;
    using namespace bulkhead::kernel_root;
    std::setvbuf(stdout, nullptr, _IOLBF, 512);
    const abi::StartInfo* start = cap::start_info();
    if (start == nullptr) {
        std::fputs("kernel-root: this is a root task for Bulkhead's kernel\n", stderr);
        return 1;
    }
    Resources resources{*start};
    if (cap::kernel_info(*start).virt_kind != 0) {
        const Guest guest = make_guest(resources);
        basic_exits(guest);
        controls(guest);
        injection(guest);
        debug_registers(guest);
        // Bochs 2.7 (its `ryzen`) stops at a guest's triple fault instead of taking the SHUTDOWN intercept.
        if (std::strstr(cap::kernel_info(*start).cpu_name, "Ryzen 7 1700") == nullptr) hostile(guest);
        cost(guest);
    } else {
        std::puts("no virtualization: guest checks are skipped");
    }
    threads();
    faults(resources);
    if (cap::kernel_info(*start).cpus > 1) cross_cpu(resources, cap::kernel_info(*start).virt_kind != 0);
    std::printf("kernel-root: %s\n", failures == 0 ? "PASS" : "FAIL");
    for (;;) (void)cap::sys::thread_suspend(cap::kMainThread);
}
