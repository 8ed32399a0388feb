// SPDX-License-Identifier: Apache-2.0
// Threads on two CPUs that hold an object of each kind make every call with random arguments, take faults,
// run guests, are interrupted and preempted at random. After each step the kernel's data must be consistent;
// after each episode all memory must come back. Replay: BULKHEAD_SEED=<seed>; longer:
// BULKHEAD_RANDOM_CALLS=<steps>.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "abi/start.hpp"
#include "test/unit/kernel/consistency.hpp"
#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::ObjectType;
using abi::Status;
using fake::Machine;

namespace {

constexpr uint32_t kFirst = 8, kSlots = 110;  // of the workers' CNode, which has 2^7
constexpr unsigned kThreads = 5, kStepsPerEpisode = 3000;

class Chaos {
  public:
    explicit Chaos(unsigned seed) : random_{seed} {}
    bool episode(unsigned steps);
    uint64_t succeeded = 0, calls = 0;

  private:
    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    uint64_t slot() {
        return below(30) == 0   ? random_()
               : below(12) == 0 ? (uint64_t{kFirst + below(kSlots)} << 32 | below(10))
                                : kFirst + below(kSlots);
    }
    uint64_t number();
    uint64_t at(uint64_t s) const {
        return workers_ << 32 | s;
    }  // a slot of the workers, as the root thread names it
    void build();
    void make_thread(unsigned cpu);
    void must(Status status, const char* what) {
        if (status == Status::Ok) return;
        fprintf(stderr, "%s: status %u\n", what, static_cast<unsigned>(status));
        abort();
    }
    void step();
    void revive();
    void wake_root();
    void random_call(core::Thread& t);
    void touch_memory(core::Thread& t);
    bool fail(const char* what) {
        fprintf(stderr, "%s\n", what);
        return false;
    }

    std::mt19937_64 random_;
    Machine m_{2};
    uint64_t pool_ = 0, sleep_ = 0, workers_ = 0, next_ = 0;
};

uint64_t Chaos::number() {
    switch (below(6)) {
        case 0: return below(4);
        case 1: return below(64);
        case 2: return uint64_t{below(64)} << 12;
        case 3: return 0x40'0000'0000 + (uint64_t{below(64)} << (12 + below(10)));
        case 4: return abi::MessageTag{below(300), below(8), below(3)}.raw;
        default: return random_();
    }
}

void Chaos::make_thread(unsigned cpu) {
    const uint64_t thread = next_++, sched = next_++, buffer = next_++;
    const auto make = [&](ObjectType type, uint64_t size, uint64_t to) {
        must(m_.call(Call::Retype, pool_, static_cast<uint64_t>(type), size, at(to), 1).status, "retype");
    };
    make(ObjectType::Thread, 0, thread);
    make(ObjectType::SchedContext, 0, sched);
    make(ObjectType::Frame, 12, buffer);
    must(m_.call(Call::SchedConfigure, abi::root::kSchedControl, at(sched), cpu, below(4), 1 + below(1000),
                 below(3) == 0 ? abi::sched_budget(100, 500) : 0)
             .status,
         "configure");
    const auto set = [&](unsigned which, uint64_t what) {
        must(m_.call(Call::ThreadSet, at(thread), which, what).status, "set");
    };
    set(0, workers_);
    set(1, abi::root::kVSpace);
    set(2, at(buffer));
    set(4, at(sched));
    must(m_.call(Call::ThreadStart, at(thread), abi::kImageBase, abi::kStackTop, 0, 0, 0).status, "start");
}

void Chaos::build() {
    if (pool_ == 0) {
        pool_ = m_.make(ObjectType::Untyped, 24);
        sleep_ = m_.make(ObjectType::Notification);
        workers_ = m_.make(ObjectType::CNode, 7);
    }
    next_ = kFirst;
    const auto make = [&](ObjectType type, uint64_t size, unsigned count) {
        must(m_.call(Call::Retype, pool_, static_cast<uint64_t>(type), size, at(next_), count).status,
             "retype");
        next_ += count;
    };
    for (unsigned i = 0; i < kThreads; ++i) make_thread(i % 2);
    make(ObjectType::Untyped, 18, 2);
    make(ObjectType::CNode, 3, 2);
    make(ObjectType::Endpoint, 0, 3);
    make(ObjectType::Reply, 0, 4);
    make(ObjectType::Notification, 0, 4);
    make(ObjectType::Frame, 12, 6);
    make(ObjectType::Vcpu, 0, 2);
    for (const auto kind : {abi::TableKind::Host, abi::TableKind::Guest}) {
        const uint64_t root = next_;
        for (unsigned level = 4; level >= 1; --level) {
            make(ObjectType::PageTable, abi::table_size_arg(kind, level), 1);
            if (level < 4)
                must(m_.call(Call::TableMap, at(root), at(next_ - 1), 0x40'0000'0000).status, "table");
        }
    }
    const auto copy = [&](uint64_t from) {
        must(m_.call(Call::CapCopy, at(next_++), from, abi::rights::kAll).status, "copy");
    };
    for (const uint64_t from :
         {uint64_t{abi::root::kLog}, uint64_t{abi::root::kSchedControl}, uint64_t{abi::root::kTagControl},
          uint64_t{abi::root::kIrqControl}, uint64_t{abi::root::kIoPorts}, uint64_t{abi::root::kInspect},
          workers_, uint64_t{abi::root::kVSpace}})
        copy(from);
    if (next_ >= kFirst + kSlots) abort();
}

void Chaos::random_call(core::Thread& t) {
    // Mostly numbers that exist. ThreadStart and others get plausible addresses often enough by `number`.
    constexpr unsigned kCalls[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  16, 17, 18, 19, 20, 21,
                                   22, 23, 24, 25, 32, 33, 34, 48, 49, 50, 51, 52, 53, 54, 55,
                                   56, 57, 64, 72, 73, 74, 75, 76, 80, 81, 82, 83, 84, 85, 86};
    uint64_t n = below(20) == 0 ? below(120) : kCalls[below(sizeof kCalls / sizeof kCalls[0])];
    if ((n == 20 || n == 54 || n == 19) && below(4) != 0)
        n = 2 + below(7);  // or too little is left to try things on
    UserContext& u = t.user;
    const auto arg = [&] { return below(2) != 0 ? slot() : number(); };
    u.rax = static_cast<uint64_t>(abi::kSyscallBase) + n;
    u.rdi = slot(), u.rsi = arg(), u.rdx = arg(), u.r10 = arg(), u.r8 = below(3) != 0 ? below(5) : arg(),
    u.r9 = arg(), u.r12 = slot();
    u.r13 = below(3) != 0 ? abi::kDeadlineNever : fake::state.clock + below(100000);
    if ((n == 7 || n == 8) && below(2) != 0) u.rsi = fake::state.clock + below(100000);
    if (n == 22) u.rsi = below(20), u.rdx = below(3) != 0 ? 12 + below(6) : number();
    if (n == 33) u.rdx = 0x40'0000'0000 + (uint64_t{below(600)} << 12), u.r10 = 1 + below(8);
    if (n == 48 || n == 64) u.rsi = below(7);
    if (n == 55)
        u.rdx = below(3), u.r10 = below(5), u.r8 = 1 + below(300),
        u.r9 = below(2) != 0 ? 0 : abi::sched_budget(50 + below(100), 50 + below(400));
    if (t.buffer != nullptr && below(4) == 0) {
        for (unsigned i = 0; i < abi::kMessageCaps; ++i)
            t.buffer->caps[i] = abi::CapAddr{slot()}, t.buffer->receive_slots[i] = abi::CapAddr{slot()};
        t.buffer->move = below(16);
    }
    u.rip = 0x2000;
    u.by_syscall = 1;
    core::Cpu& cpu = *t.running_on();
    ++calls;
    for (unsigned i = 0; i < 3; ++i) {  // a restarted call may be interrupted for good
        core::handle_syscall(cpu);
        if (u.rip != 0x2000 - 2 || cpu.current != &t) break;
        u.rip = 0x2000;
    }
    if (u.rax == 0) ++succeeded;
}

// User level of this thread reads and writes through its CPU's TLB.
void Chaos::touch_memory(core::Thread& t) {
    for (unsigned i = 0; i < 4; ++i)
        (void)fake::access(t.running_on()->id, *t.root, 0x40'0000'0000 + (uint64_t{below(600)} << 12));
    if (t.guest != nullptr)
        (void)fake::access(t.running_on()->id, *t.guest->guest_root,
                           0x40'0000'0000 + (uint64_t{below(600)} << 12));
}

void Chaos::wake_root() {
    core::sys.here = &m_.cpu[0];
    core::signal(*m_.slot(sleep_).as<core::Notification>(), 1);
    if (m_.resched(0) != &m_.root()) {
        fprintf(stderr, "the root thread does not run again\n");
        abort();
    }
}

// Everybody waits, is suspended or paused: a supervisor gets them going again.
void Chaos::revive() {
    wake_root();
    for (uint32_t s = kFirst; s < kFirst + kSlots; ++s) {
        const core::Slot& slot = m_.slot(at(s));
        if (slot.type == ObjectType::SchedContext) (void)m_.call(Call::SchedPause, at(s), 0);
        if (slot.type != ObjectType::Thread) continue;
        const core::Thread& t = *core::Thread::from(slot.as<core::Object>());
        const auto set = [&](unsigned which, uint64_t what) {
            if (t.slot[which].empty()) (void)m_.call(Call::ThreadSet, at(s), which, what);
        };
        set(0, workers_);
        set(1, abi::root::kVSpace);
        for (uint32_t k = kFirst; k < kFirst + kSlots; ++k) {
            if (m_.slot(at(k)).type == ObjectType::SchedContext && t.sched == nullptr) set(4, at(k));
        }
        (void)m_.call(Call::ThreadSuspend, at(s));
        (void)m_.call(Call::ThreadResume, at(s));
        (void)m_.call(Call::ThreadStart, at(s), abi::kImageBase, abi::kStackTop, 0, 0, 0);
    }
    (void)m_.call(Call::Wait, sleep_, abi::kDeadlineNever);
}

void Chaos::step() {
    core::Cpu& cpu = m_.cpu[below(2)];
    fake::state.clock += below(20000);
    fake::state.preempt_every = below(4) == 0 ? 1 + below(4) : 0;
    core::Thread* t = cpu.current;
    const unsigned what = below(20);
    if (cpu.need_schedule != 0 || what == 0) {
        fake::state.resched[cpu.id] = 0;
        core::handle_resched(cpu);
    } else if (what == 1 || fake::state.timer[cpu.id] <= fake::state.clock) {
        fake::state.timer[cpu.id] = abi::kDeadlineNever;
        core::handle_timer(cpu, fake::state.clock);
    } else if (what == 2) {
        core::handle_device_interrupt(cpu, below(24));
    } else if (t == nullptr) {
        return;
    } else if (t->guest != nullptr) {
        touch_memory(*t);
        t->guest->page->reason = abi::ExitReason::Cpuid;
        if (what < 12) core::handle_vcpu_exit(cpu, *t->guest, abi::ExitReason::Hlt);
    } else if (what == 3 && below(4) == 0) {
        t->user.vector = below(2) != 0 ? 14 : 6;
        core::handle_exception(cpu);
    } else {
        touch_memory(*t);
        random_call(*t);
    }
}

bool Chaos::episode(unsigned steps) {
    build();
    core::Thread& root = m_.root();
    (void)m_.call(root, Call::Wait, sleep_, abi::kDeadlineNever);
    unsigned idle = 0;
    for (unsigned i = 0; i < steps; ++i) {
        step();
        idle = m_.cpu[0].current == nullptr && m_.cpu[1].current == nullptr ? idle + 1 : 0;
        if (idle > 20) revive();
        fake::state.preempt_every = 0;
        if (const std::string wrong = fake::find_inconsistency(); !wrong.empty()) return fail(wrong.c_str());
    }
    wake_root();
    // Everything that was made of the pool goes, and what was derived from the root's own controls.
    const auto delete_region = [&] {
        for (uint32_t s = kFirst; s < kFirst + kSlots; ++s) {
            if (!m_.slot(at(s)).empty()) (void)m_.call(Call::CapDelete, at(s));
        }
    };
    fake::state.preempt_every = 1 + below(3);
    must(m_.call(Call::CapRevoke, pool_).status, "revoke");
    fake::state.preempt_every = 0;
    delete_region();
    for (const uint64_t control : {abi::root::kLog, abi::root::kSchedControl, abi::root::kTagControl,
                                   abi::root::kIrqControl, abi::root::kIoPorts, abi::root::kInspect})
        must(m_.call(Call::CapRevoke, control).status, "revoke");
    if (const std::string wrong = fake::find_inconsistency(); !wrong.empty()) return fail(wrong.c_str());
    if (m_.slot(pool_).first_child != nullptr || m_.slot(pool_).badge != 0)
        return fail("memory did not come back");
    if (core::sys.revokes != 0) return fail("a revoke is still in progress");
    for (const auto type : {ObjectType::Endpoint, ObjectType::Reply, ObjectType::Vcpu, ObjectType::CNode,
                            ObjectType::IrqHandler}) {
        if (core::sys.count[static_cast<size_t>(type)] != (type == ObjectType::CNode ? 2 : 0))
            return fail("objects are left");
    }
    for (const core::Cpu* cpu : {&m_.cpu[0], &m_.cpu[1]}) {
        if (cpu->timers.top != nullptr) return fail("a deadline is left");
    }
    return m_.resched(1) == nullptr || fail("a thread runs that does not exist");
}

}  // namespace

int main() {
    const char* seed_text = getenv("BULKHEAD_SEED");
    const char* steps_text = getenv("BULKHEAD_RANDOM_CALLS");
    const unsigned seed =
        seed_text != nullptr ? static_cast<unsigned>(strtoul(seed_text, nullptr, 0)) : std::random_device{}();
    const unsigned steps =
        steps_text != nullptr ? static_cast<unsigned>(strtoul(steps_text, nullptr, 0)) : 60'000;
    printf("seed %u, %u steps\n", seed, steps);
    fflush(stdout);
    Chaos chaos{seed};
    for (unsigned done = 0; done < steps; done += kStepsPerEpisode) {
        if (!chaos.episode(kStepsPerEpisode)) {
            fprintf(stderr, "in the episode that began at step %u\n", done);
            return 1;
        }
    }
    printf("%lu calls, %lu succeeded\n", chaos.calls, chaos.succeeded);
    return 0;
}
