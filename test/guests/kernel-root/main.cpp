// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "abi/vcpu.hpp"
#include "lib/cap/environment.hpp"
#include "test/guests/kernel-root/guest_code.hpp"

namespace bulkhead::kernel_root {
namespace {

using abi::ExitReason;
using abi::VcpuState;
using cap::CapAddr;
using cap::Status;
namespace sys = cap::sys;

int failures;

void check(bool good, const char* what, uint64_t detail = 0) {
    std::printf("%s: %s (%#lx)\n", good ? "ok" : "FAILED", what, static_cast<unsigned long>(detail));
    if (!good) ++failures;
}

uint64_t tsc() { return __builtin_ia32_rdtsc(); }

// Slots and memory, the simplest way: count up; the largest Untyped that RootInfo names.
class Resources {
public:
    explicit Resources(const abi::StartInfo& start) : next_{start.free_slots.first} {
        const abi::NamedCap* info = cap::find_cap(start, "root-info");
        const auto& root = *reinterpret_cast<const abi::RootInfo*>(info->mapped.base);
        unsigned best = 0;
        for (uint32_t i = 0; i < root.untypeds; ++i)
            if (root.untyped[i].device == 0 && root.untyped[i].size_bits > best) {
                best = root.untyped[i].size_bits;
                memory_ = CapAddr{0, abi::root::kFirstUntyped + i};
            }
        window_ = start.window.base;
    }
    CapAddr slot() { return CapAddr{0, next_++}; }
    CapAddr make(abi::ObjectType type, uint64_t size = 0) {
        const CapAddr at = slot();
        const Status status = sys::retype(memory_, type, size, at);
        if (status != Status::Ok) check(false, "retype", static_cast<uint64_t>(status));
        return at;
    }
    void map_into(CapAddr root, abi::TableKind kind, CapAddr frame, uint64_t address, uint64_t flags) {
        for (;;) {
            const cap::Result r = sys::frame_map(root, frame, address, flags);
            if (r.status != Status::NoPageTable) {
                if (r.status != Status::Ok) check(false, "frame_map", static_cast<uint64_t>(r.status));
                return;
            }
            const unsigned level = static_cast<unsigned>(r.r0);
            const CapAddr table = make(abi::ObjectType::PageTable, abi::table_size_arg(kind, level));
            const uint64_t span = uint64_t{1} << (12 + 9 * level);
            if (const Status status = sys::table_map(root, table, address & ~(span - 1)); status != Status::Ok) {
                check(false, "table_map", static_cast<uint64_t>(status));
                return;
            }
        }
    }
    void* map_here(CapAddr frame, uint64_t bytes) {
        const uint64_t at = window_;
        window_ += (bytes + 0x1fffff) & ~uint64_t{0x1fffff};
        map_into(cap::kOwnVSpace, abi::TableKind::Host, frame, at, abi::map::kRead | abi::map::kWrite);
        return reinterpret_cast<void*>(at);
    }

private:
    uint32_t next_;
    CapAddr memory_;
    uint64_t window_;
};

struct Guest {
    CapAddr vcpu, root, state_frame, ram, bell, ring;  // ring: the bell with badge 1
    VcpuState* state;
    uint8_t* memory;
};

constexpr unsigned kRamBits = 16;

Guest make_guest(Resources& r) {
    Guest g{};
    g.vcpu = r.make(abi::ObjectType::Vcpu);
    g.root = r.make(abi::ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, 4));
    g.state_frame = r.make(abi::ObjectType::Frame, abi::kPageBits);
    g.ram = r.make(abi::ObjectType::Frame, kRamBits);
    g.bell = r.make(abi::ObjectType::Notification);
    g.ring = r.slot();
    check(sys::cap_mint(g.ring, g.bell, abi::rights::kWrite, 1) == Status::Ok, "mint the bell");
    g.state = static_cast<VcpuState*>(r.map_here(g.state_frame, 4096));
    g.memory = static_cast<uint8_t*>(r.map_here(g.ram, 1 << kRamBits));
    const CapAddr guest_view = r.slot();
    check(sys::cap_copy(guest_view, g.ram, abi::rights::kAll) == Status::Ok, "copy the guest's frame");
    r.map_into(g.root, abi::TableKind::Guest, guest_view, 0, abi::map::kRead | abi::map::kWrite | abi::map::kExecute);
    check(sys::vcpu_set(g.vcpu, abi::VcpuSlot::StatePage, g.state_frame) == Status::Ok, "state page");
    check(sys::vcpu_set(g.vcpu, abi::VcpuSlot::GuestRoot, g.root) == Status::Ok, "guest root");
    check(sys::vcpu_set(g.vcpu, abi::VcpuSlot::BoundNotification, g.bell) == Status::Ok, "bound notification");
    return g;
}

void reset_state(VcpuState& s, uint64_t ip) {
    s.rip = ip;
    s.rflags = 2;
    s.cr0 = 0x10;
    s.cr4 = 0;
    s.efer = 0;
    s.pat = 0x0007040600070406;
    const abi::SegmentState data{0, 0x93, 0xffff, 0}, code{0, 0x9b, 0xffff, 0};
    s.es = s.ss = s.ds = s.fs = s.gs = data;
    s.cs = code;
    s.ldtr = {0, 0x82, 0xffff, 0};
    s.tr = {0, 0x8b, 0xffff, 0};
    s.gdtr = s.idtr = {0, 0, 0xffff, 0};
    s.dr6 = 0xffff0ff0;
    s.dr7 = 0x400;
    s.xcr0 = 1;
    s.dirty = VcpuState::kAllGroups;
}

cap::Result run(const Guest& g, uint64_t deadline = abi::kDeadlineNever) { return sys::vcpu_run(g.vcpu, deadline); }

void expect(const Guest& g, ExitReason reason, const char* what) {
    const cap::Result r = run(g);
    check(r.status == Status::Ok && g.state->reason == reason, what, (static_cast<uint64_t>(r.status) << 32) | (static_cast<uint64_t>(g.state->reason) << 16) | g.state->exit_code);
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
    check(s.io_port == 0x80 && s.io_in == 0 && s.io_bytes == 1 && (s.gpr[0] & 0xff) == 0x3f, "out decoded", s.io_port);
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
    check(r.status == Status::VcpuInvalid && r.r0 == offsetof(VcpuState, cr4), "reserved CR4 bits are refused", r.r0);
    s.cr4 = 0;
    s.inject = 0x80000c00;
    s.dirty = 0;
    r = run(g);
    check(r.status == Status::VcpuInvalid && r.r0 == offsetof(VcpuState, inject), "bad injection is refused", r.r0);
    s.inject = 0;

    s.rip = 0x1000 + kSpinOffset;
    const uint64_t start = tsc();
    r = run(g, start + 20'000'000);
    check(r.status == Status::Timeout && s.reason == ExitReason::Timeout && tsc() - start >= 20'000'000, "a deadline ends a spinning guest", tsc() - start);
    check(sys::signal(g.ring) == Status::Ok, "signal");
    r = run(g);
    check(r.status == Status::Notified, "a signal beats entry", static_cast<uint64_t>(r.status));

    s.flags = VcpuState::kSyncOnly;
    r = run(g);
    check(r.status == Status::Ok && s.reason == ExitReason::Synced && s.valid == VcpuState::kAllGroups && s.flags == 0, "sync only");
    check(s.cs.limit == 0xffff && s.dr7 == 0x400 && s.xcr0 == 1, "all groups are saved");

    s.rip = 0x1000 + kSpinOffset;
    s.rflags = 0x202;
    s.want_window = 1;
    expect(g, ExitReason::InterruptWindow, "an interrupt window opens");
    s.want_window = 0;
    std::memcpy(g.memory + 0x20 * 4, "\x00\x20\x00\x00", 4);  // vector 0x20 -> 0000:2000
    g.memory[0x2000] = 0xf4;
    s.gpr[4] = 0x8000;
    s.inject = 0x80000020;
    expect(g, ExitReason::Hlt, "an injected interrupt arrives");
    check(s.rip == 0x2000, "in its handler", s.rip);
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

void cost(const Guest& g) {
    VcpuState& s = *g.state;
    s.rip = 0x1000 + kCallLoopOffset;
    constexpr unsigned kRounds = 1000;
    const uint64_t start = tsc();
    for (unsigned i = 0; i < kRounds; ++i) {
        (void)run(g);
        s.rip += 3;
    }
    std::printf("cost: guest exit, VMM, resume: %lu ticks\n", static_cast<unsigned long>((tsc() - start) / kRounds));
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
        debug_registers(guest);
        cost(guest);
    } else {
        std::puts("no virtualization: guest checks are skipped");
    }
    threads();
    std::printf("kernel-root: %s\n", failures == 0 ? "PASS" : "FAIL");
    for (;;) (void)cap::sys::thread_suspend(cap::kMainThread);
}
