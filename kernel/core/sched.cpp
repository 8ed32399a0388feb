// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/kernel.hpp"
#include "kernel/core/ready_queue.hpp"

namespace bulkhead::core {

namespace {

constexpr uint64_t kQuantumUs = 5000;       // of weight abi::kWeightDefault
constexpr uint64_t kShortestBudgetUs = 50;  // shorter ones would spend the time on switching

void ring_remove(SchedContext& s) {
    if (s.queued == 0) return;
    Cpu& cpu = *sys.cpu[s.cpu];
    SchedContext*& ring = cpu.ready.ring[s.priority];
    if (s.next == &s) {
        ring = nullptr;
        cpu.ready.bitmap &= ~(uint64_t{1} << s.priority);
    } else {
        s.next->previous = s.previous;
        s.previous->next = s.next;
        if (ring == &s) ring = s.next;
    }
    s.next = s.previous = nullptr;
    s.queued = 0;
}

void fifo_remove(SchedContext& s, Thread& t) {
    if (t.ready_linked == 0) return;
    (t.ready_previous != nullptr ? t.ready_previous->ready_next : s.ready_head) = t.ready_next;
    (t.ready_next != nullptr ? t.ready_next->ready_previous : s.ready_tail) = t.ready_previous;
    t.ready_next = t.ready_previous = nullptr;
    t.ready_linked = 0;
    if (s.ready_head == nullptr) ring_remove(s);
}

int top_priority(const Cpu& cpu) {
    return cpu.ready.bitmap != 0 ? 63 - __builtin_clzll(cpu.ready.bitmap) : -1;
}

// The hardware timer is only ever moved to an earlier time; when it fires too early, the handler sets it
// anew. So a ping-pong of two threads does not write it at every switch.
void program_timer(Cpu& cpu) {
    uint64_t at = cpu.timers.earliest();
    if (cpu.charged != nullptr) {
        const uint64_t limit = limit_of(cpu, *cpu.charged);
        if (limit < at) at = limit;
    }
    if (at >= cpu.timer_at) return;
    cpu.timer_at = at;
    arch::set_timer(at);
}

// Whoever became ready on `cpu` at `priority` may deserve it. An equal only means that the running thread's
// slice counts now.
void consider(Cpu& cpu, unsigned priority) {
    if (cpu.current != nullptr) {
        const SchedContext* s = cpu.current->sched;
        if (s->priority > priority) return;
        if (s->priority == priority && &cpu == sys.here && cpu.charged == s) {
            program_timer(cpu);
            return;
        }
    }
    poke(cpu);
}

void throttle(Cpu& cpu, SchedContext& s) {
    s.throttled = 1;
    ring_remove(s);
    poke(cpu);  // perhaps another CPU's: see sched_move
    if (!s.replenish.armed()) {
        s.replenish.kind = TimerKind::SchedContext;
        cpu.timers.insert(s.replenish, s.period_start + s.period);
    }
}

}  // namespace

uint64_t us_to_ticks(uint64_t us) {
    return us * (sys.tsc_khz / 100) / 10;
}

Cpu& home_cpu(const Thread& t) {
    return *sys.cpu[t.sched != nullptr ? t.sched->cpu : 0];
}

void charge(Cpu& cpu, uint64_t now) {
    SchedContext* s = cpu.charged;
    const uint64_t ticks = now - cpu.charged_since;
    cpu.charged_since = now;
    if (s == nullptr) return;
    s->consumed += ticks;
    s->slice_left = s->slice_left > ticks ? s->slice_left - ticks : 0;
    if (s->budget == 0) return;
    if (now - s->period_start >= s->period) {
        s->period_start = now - ticks;
        s->budget_left = s->budget;
    }
    s->budget_left = s->budget_left > ticks ? s->budget_left - ticks : 0;
    if (s->budget_left == 0 && s->throttled == 0) throttle(cpu, *s);
}

void make_ready(Thread& t) {
    t.state = ThreadState::Ready;
    if (t.suspended != 0 || t.sched == nullptr || t.root == nullptr || t.ready_linked != 0 ||
        t.running_on() != nullptr)
        return;
    enqueue(t, false);
    if (t.sched->queued != 0) consider(*sys.cpu[t.sched->cpu], t.sched->priority);
}

void block_current(Cpu& cpu) {
    cpu.current = nullptr;
    cpu.need_schedule = 1;
}

// The caller has set `next` to Ready and knows that its SchedContext belongs to this CPU.
void run_directly(Cpu& cpu, Thread& next) {
    SchedContext* s = next.sched;
    cpu.current = nullptr;
    if (next.suspended == 0 && next.root != nullptr && s != nullptr && runnable(*s) &&
        (cpu.ready.bitmap >> s->priority) <= 1 && cpu.need_schedule == 0) {
        cpu.current = &next;
        return;  // on the time of whoever is charged now, until the next scheduling decision: the caller pays
                 // for the service
    }
    cpu.need_schedule = 1;
    if (next.suspended == 0 && next.root != nullptr && s != nullptr) enqueue(next, true);
}

void stop_running(Thread& t) {
    if (Cpu* on = t.running_on(); on != nullptr) {
        Cpu& cpu = *on;
        if (&cpu != sys.here) {
            arch::stop_remote(cpu.id, t);
            arch::send_resched(cpu.id);
        }
        cpu.current = nullptr;
        cpu.need_schedule = 1;
    } else if (t.ready_linked != 0) {
        fifo_remove(*t.sched, t);
    }
}

void rotate(Cpu& cpu) {
    cpu.rotate = 1;
    cpu.need_schedule = 1;
}

void poke(Cpu& cpu) {
    if (cpu.need_schedule != 0) return;
    cpu.need_schedule = 1;
    if (&cpu != sys.here) arch::send_resched(cpu.id);  // here, every entry ends with schedule()
}

namespace {

// Takes cpu.current off the CPU if another thread should have it.
void give_way(Cpu& cpu) {
    Thread& current = *cpu.current;
    SchedContext& s = *current.sched;
    const int best = top_priority(cpu);
    const bool can_stay = runnable(s) && s.cpu == cpu.id;
    const bool behind = can_stay && (cpu.rotate != 0 || s.slice_left == 0);
    if (s.slice_left == 0) s.slice_left = s.quantum;
    if (can_stay && best <= s.priority && !(behind && best == s.priority)) return;
    cpu.current = nullptr;
    if (behind) ring_remove(s);
    enqueue(current, !behind);
    if (behind && s.queued != 0 && s.next != &s) {  // last in its ring, whatever enqueue thought best
        ring_remove(s);
        ring_add(cpu, s, false);
    }
    if (s.cpu != cpu.id && s.queued != 0) consider(*sys.cpu[s.cpu], s.priority);
}

void take_best(Cpu& cpu) {
    const int priority = top_priority(cpu);
    if (priority < 0) {
        cpu.charged = nullptr;
        return;
    }
    SchedContext& s = *cpu.ready.ring[priority];
    Thread& next = *s.ready_head;
    fifo_remove(s, next);
    cpu.current = &next;
    if (s.slice_left == 0) s.slice_left = s.quantum;
}

}  // namespace

void schedule(Cpu& cpu) {
    for (;;) {
        charge(cpu, arch::now());
        cpu.need_schedule = 0;
        if (cpu.current != nullptr) give_way(cpu);
        cpu.rotate = 0;
        if (cpu.current == nullptr) take_best(cpu);
        if (cpu.current != nullptr) cpu.charged = cpu.current->sched;
        if (cpu.current == nullptr || cpu.current->guest == nullptr || !guest_must_leave(*cpu.current)) break;
        guest_leave(*cpu.current);
        if (cpu.need_schedule == 0) break;
    }
    program_timer(cpu);
}

void sched_paused_changed(SchedContext& s) {
    Cpu& cpu = *sys.cpu[s.cpu];
    if (!runnable(s)) {
        ring_remove(s);
        if (cpu.current != nullptr && cpu.current->sched == &s) {
            Thread& t = *cpu.current;
            stop_running(t);
            enqueue(t, true);
        }
    } else if (s.ready_head != nullptr && s.queued == 0) {
        ring_add(cpu, s, false);
        consider(cpu, s.priority);
    }
}

void sched_move(SchedContext& s, uint32_t to, uint8_t priority) {
    Cpu& cpu = *sys.cpu[s.cpu];
    Thread* running = cpu.current != nullptr && cpu.current->sched == &s ? cpu.current : nullptr;
    if (running != nullptr) stop_running(*running);
    if (cpu.charged == &s) {
        charge(cpu, arch::now());
        cpu.charged = nullptr;
        poke(cpu);  // whoever runs there, called on this time, runs on its own from now on
    }
    ring_remove(s);
    TimerHeap::remove(s.replenish);
    s.throttled = 0;
    s.cpu = to;
    s.priority = priority;
    if (running != nullptr) enqueue(*running, true);
    if (s.ready_head != nullptr && s.queued == 0 && runnable(s)) ring_add(*sys.cpu[to], s, false);
    if (s.queued != 0) consider(*sys.cpu[to], priority);
}

bool sched_destroy_step(SchedContext& s) {
    if (Thread* t = s.users;
        t != nullptr) {  // a passive server that runs on it: stays where it is until it is given time again
        stop_running(*t);
        set_sched(*t, nullptr);
        return false;
    }
    ring_remove(s);
    TimerHeap::remove(s.replenish);
    for (uint32_t i = 0; i < sys.cpus; ++i) {
        Cpu& cpu = *sys.cpu[i];
        if (cpu.charged != &s) continue;
        cpu.charged = nullptr;
        poke(cpu);
    }
    return true;
}

void arm_timer(Thread& t, uint64_t deadline) {
    if (deadline == abi::kDeadlineNever) return;
    Cpu& cpu = home_cpu(t);
    t.timed = 1;
    t.timer.kind = TimerKind::Thread;
    cpu.timers.insert(t.timer, deadline);
    if (&cpu == sys.here) {
        program_timer(cpu);
    } else {
        arch::send_resched(cpu.id);
    }
}

// At most this many deadlines at once; the rest follows after the interrupts that wait.
constexpr unsigned kTimersPerInterrupt = 64;

void handle_timer(Cpu& cpu, uint64_t now) {
    sys.here = &cpu;
    cpu.timer_at = abi::kDeadlineNever;
    charge(cpu, now);
    for (unsigned i = 0; i < kTimersPerInterrupt && cpu.timers.earliest() <= now; ++i) {
        Timer& timer = *cpu.timers.top;
        TimerHeap::remove(timer);
        if (timer.kind == TimerKind::SchedContext) {
            SchedContext& s = *reinterpret_cast<SchedContext*>(reinterpret_cast<char*>(&timer) -
                                                               __builtin_offsetof(SchedContext, replenish));
            s.budget_left = s.budget;
            s.throttled = 0;
            sched_paused_changed(s);
        } else {
            Thread& t = *reinterpret_cast<Thread*>(reinterpret_cast<char*>(&timer) -
                                                   __builtin_offsetof(Thread, timer));
            if (t.guest != nullptr) {
                t.guest_timeout = 1;
                poke(home_cpu(t));
            } else {
                finish_wait(t, Status::Timeout);
            }
        }
    }
    schedule(cpu);
}

void handle_resched(Cpu& cpu) {
    sys.here = &cpu;
    schedule(cpu);
}

// ---- system calls

Status sys_yield(Cpu& cpu, Thread&, UserContext&) {
    rotate(cpu);
    return Status::Ok;
}

Status sys_sched_configure(Cpu&, Thread& t, UserContext& u) {
    const auto control = lookup(t, CapAddr{u.rdi}, ObjectType::SchedControl, rights::kControl);
    if (!control) return control.status();
    const auto slot = lookup(t, CapAddr{u.rsi}, ObjectType::SchedContext, rights::kWrite);
    if (!slot) return slot.status();
    const uint64_t weight = u.r8, budget = u.r9 & 0xffff'ffff, period = u.r9 >> 32;
    if (u.rdx >= sys.cpus || u.r10 >= abi::kPriorities || weight == 0 || weight > 0xffff)
        return Status::BadArgument;
    if (budget != 0 && (period < budget || budget < kShortestBudgetUs)) return Status::BadArgument;
    if (control->badge != 0 && u.r10 > (control->badge & 0xff)) return Status::NoRights;
    SchedContext& s = *slot->as<SchedContext>();
    sched_move(s, static_cast<uint32_t>(u.rdx), static_cast<uint8_t>(u.r10));
    s.weight = static_cast<uint32_t>(weight);
    s.quantum = us_to_ticks(kQuantumUs) * weight / abi::kWeightDefault;
    if (s.quantum == 0) s.quantum = 1;
    s.slice_left = s.quantum;
    s.budget = s.budget_left = us_to_ticks(budget);
    s.period = us_to_ticks(period);
    s.period_start = arch::now();
    s.configured = 1;
    return Status::Ok;
}

Status sys_sched_read(Cpu& cpu, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::SchedContext, rights::kRead);
    if (!slot) return slot.status();
    SchedContext& s = *slot->as<SchedContext>();
    charge(cpu, arch::now());
    u.rdx = s.consumed;
    u.r10 = s.cpu | (uint64_t{s.priority} << 8) | (uint64_t{s.weight} << 16) | (uint64_t{s.paused} << 32);
    return Status::Ok;
}

Status sys_sched_pause(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::SchedContext, rights::kWrite);
    if (!slot) return slot.status();
    if (u.rsi > 1) return Status::BadArgument;
    SchedContext& s = *slot->as<SchedContext>();
    s.paused = static_cast<uint8_t>(u.rsi);
    sched_paused_changed(s);
    return Status::Ok;
}

}  // namespace bulkhead::core
