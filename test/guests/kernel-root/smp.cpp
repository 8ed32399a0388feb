// SPDX-License-Identifier: Apache-2.0
#include "test/guests/kernel-root/smp.hpp"

#include <cstring>

namespace bulkhead::kernel_root {
namespace {

using abi::VcpuState;

constexpr uint64_t kShort = 300'000;  // ticks

// A thread without libc on CPU 1: what it runs touches no thread-local data.
struct Worker {
    CapAddr thread, sched, buffer;
    uint64_t stack_top;
};

// Shared with workers.
struct alignas(4096) Shared {
    volatile uint64_t counter;
    volatile uint64_t runs, last_status, last_reason;
    uint64_t vcpu;
};

[[gnu::noinline]] void count(uint64_t shared) {
    for (;;) reinterpret_cast<Shared*>(shared)->counter = reinterpret_cast<Shared*>(shared)->counter + 1;
}

[[gnu::noinline]] void run_guest(uint64_t shared) {
    auto& s = *reinterpret_cast<Shared*>(shared);
    for (;;) {
        const cap::Result r = sys::vcpu_run(CapAddr{s.vcpu}, abi::kDeadlineNever);
        s.last_status = static_cast<uint64_t>(r.status);
        s.last_reason = r.r0;
        s.runs = s.runs + 1;
        if (r.status != Status::Notified) {
            for (;;) (void)sys::wait(CapAddr{}, 0);
        }
    }
}

void delay(uint64_t ticks) {
    const uint64_t end = tsc() + ticks;
    while (tsc() < end) __builtin_ia32_pause();
}

template <typename Condition>
bool eventually(Condition condition) {
    const uint64_t end = tsc() + 4'000'000'000;
    while (tsc() < end)
        if (condition()) return true;
    return false;
}

Worker make_worker(Resources& r, uint32_t cpu) {
    Worker w{};
    w.sched = r.make(abi::ObjectType::SchedContext);
    w.buffer = r.make(abi::ObjectType::Frame, abi::kPageBits);
    const CapAddr stack = r.make(abi::ObjectType::Frame, 14);
    w.stack_top = reinterpret_cast<uint64_t>(r.map_here(stack, 1 << 14)) + (1 << 14) - 8;
    check(sys::sched_configure(CapAddr{0, abi::root::kSchedControl}, w.sched, cpu, 10, abi::kWeightDefault,
                               0) == Status::Ok,
          "a place on the other CPU");
    return w;
}

// A fresh thread each time; the last one is deleted, running or not.
Status start(Resources& r, Worker& w, void (*function)(uint64_t), const Shared* shared) {
    if (!w.thread.is_null() && sys::cap_delete(w.thread) != Status::Ok) return Status::Busy;
    w.thread = r.make(abi::ObjectType::Thread);
    bool good = sys::thread_set(w.thread, abi::ThreadSlot::CSpace, cap::kOwnCNode) == Status::Ok;
    good &= sys::thread_set(w.thread, abi::ThreadSlot::VSpace, cap::kOwnVSpace) == Status::Ok;
    good &= sys::thread_set(w.thread, abi::ThreadSlot::IpcBuffer, w.buffer) == Status::Ok;
    good &= sys::thread_set(w.thread, abi::ThreadSlot::SchedContext, w.sched) == Status::Ok;
    if (!good) return Status::NotReady;
    return sys::thread_start(w.thread, reinterpret_cast<uint64_t>(function), w.stack_top,
                             reinterpret_cast<uint64_t>(shared), 0, 0);
}

void stop_and_go(Resources& r, Worker& w, Shared& s) {
    check(start(r, w, count, &s) == Status::Ok, "start there");
    check(eventually([&] { return s.counter > 1000; }), "it runs", s.counter);
    bool stopped = true, resumed = true;
    for (unsigned i = 0; i < 200 && stopped && resumed; ++i) {
        stopped = sys::thread_suspend(w.thread) == Status::Ok;
        const uint64_t before = s.counter;
        delay(kShort / 10);
        stopped &= s.counter == before;
        resumed =
            sys::thread_resume(w.thread) == Status::Ok && eventually([&] { return s.counter != before; });
    }
    check(stopped, "a suspended thread stands still at once");
    check(resumed, "a resumed one goes on");
}

// The worker writes through a mapping of its own; when unmap returns, nothing may be written any more.
void shoot_down(Resources& r, Worker& w, const CapAddr frame, Shared& mine) {
    const CapAddr copy = r.slot();
    check(sys::cap_copy(copy, frame, abi::rights::kAll) == Status::Ok, "copy the frame");
    auto* theirs = static_cast<Shared*>(r.map_here(copy, 4096));
    bool good = true, ran = true;
    for (unsigned i = 0; i < 30 && good && ran; ++i) {
        const uint64_t before = mine.counter;
        ran = start(r, w, count, theirs) == Status::Ok &&
              eventually([&] { return mine.counter > before + 100; });
        good = sys::unmap(copy).status == Status::Ok;
        const uint64_t at_unmap = mine.counter;
        delay(kShort / 10);
        good &= mine.counter == at_unmap;
        r.map_into(cap::kOwnVSpace, abi::TableKind::Host, copy, reinterpret_cast<uint64_t>(theirs),
                   abi::map::kRead | abi::map::kWrite);
    }
    check(ran, "the other CPU writes through its mapping");
    check(good, "when unmap returns, the other CPU cannot write any more");
}

// Real mode at 0x4000: inc word [0x3000]; jmp back.
constexpr uint8_t kGuestCounts[] = {0xff, 0x06, 0x00, 0x30, 0xeb, 0xfa};

uint16_t guest_counter(const Guest& g) {
    uint16_t v;
    std::memcpy(&v, const_cast<const uint8_t*>(g.memory) + 0x3000, 2);
    asm volatile("" ::: "memory");
    return v;
}

void kicks(Resources& r, Worker& w, const Guest& g, Shared& s) {
    std::memcpy(g.memory + 0x4000, kGuestCounts, sizeof(kGuestCounts));
    reset_state(*g.state, 0x4000);
    g.state->rflags = 0x202;  // Bochs lets a guest with IF = 0 mask the host's interrupts
    s.vcpu = g.vcpu.raw;
    s.runs = 0;
    check(start(r, w, run_guest, &s) == Status::Ok, "a guest on the other CPU");
    const uint16_t first = guest_counter(g);
    check(eventually([&] { return guest_counter(g) != first; }), "it runs");
    bool good = true;
    uint64_t longest = 0;
    for (unsigned i = 0; i < 500 && good; ++i) {
        const uint64_t before = s.runs, since = tsc();
        good = sys::signal(g.ring) == Status::Ok && eventually([&] { return s.runs != before; }) &&
               s.last_status == static_cast<uint64_t>(Status::Notified);
        if (tsc() - since > longest) longest = tsc() - since;
        if (i % 3 == 0) delay(kShort / 100 * (i % 7));
    }
    check(good, "every signal ends the run", s.runs);
    std::printf("longest kick: %lu ticks\n", static_cast<unsigned long>(longest));
}

void take_away(const Guest& g, Shared& s) {
    const uint16_t first = guest_counter(g);
    check(eventually([&] { return guest_counter(g) != first; }), "the guest still runs");
    check(sys::unmap(g.guest_view).status == Status::Ok, "take its memory");
    const uint16_t at = guest_counter(g);
    delay(kShort);
    check(guest_counter(g) == at, "when unmap returns, the guest cannot write any more");
    check(eventually([&] { return s.last_reason == static_cast<uint64_t>(abi::ExitReason::NestedFault); }),
          "its VMM hears of it", s.last_reason);
}

void destroy_running(Resources& r, Worker& w, Shared& s) {
    const Guest g = make_guest(r);
    std::memcpy(g.memory + 0x4000, kGuestCounts, sizeof(kGuestCounts));
    reset_state(*g.state, 0x4000);
    g.state->rflags = 0x202;
    s.vcpu = g.vcpu.raw;
    s.last_status = ~uint64_t{0};
    check(start(r, w, run_guest, &s) == Status::Ok && eventually([&] { return guest_counter(g) != 0; }),
          "another guest runs");
    check(sys::cap_delete(g.vcpu) == Status::Ok, "delete its vCPU while it runs");
    check(eventually([&] { return s.last_status == static_cast<uint64_t>(Status::PeerGone); }),
          "vcpu_run says so", s.last_status);
}

}  // namespace

void cross_cpu(Resources& r, bool guests) {
    const CapAddr frame = r.make(abi::ObjectType::Frame, abi::kPageBits);
    auto& shared = *static_cast<Shared*>(r.map_here(frame, 4096));
    Worker worker = make_worker(r, 1);
    stop_and_go(r, worker, shared);
    shoot_down(r, worker, frame, shared);
    if (guests) {
        const Guest guest = make_guest(r);
        kicks(r, worker, guest, shared);
        take_away(guest, shared);
        destroy_running(r, worker, shared);
    }
    check(sys::cap_delete(worker.thread) == Status::Ok, "delete a thread that runs there");
}

}  // namespace bulkhead::kernel_root
