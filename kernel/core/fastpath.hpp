// SPDX-License-Identifier: Apache-2.0
// Call, reply_recv, signal and wait for the usual case: four words or fewer, no capabilities, no deadline,
// the partner waits, it is passive or belongs to this CPU, nobody better is ready. Each is a list of checks
// that change nothing, then a commit that cannot fail. "Nothing was done" (nullptr, false) sends the caller
// to the general path (dispatch_syscall), which means the same.
//
// They decide and link; the message itself (RSI, RDX, R10, R8, R9) is not theirs: entry code leaves it in the
// registers, where the partner expects it (kernel/arch/x86_64/fast_entry.cpp); handle_syscall copies it.
// Inline, because that file is compiled with those registers set aside.
#pragma once

#include "kernel/core/kernel.hpp"
#include "kernel/core/ready_queue.hpp"

namespace bulkhead::core {

[[gnu::always_inline]] inline bool is_short_message(uint64_t tag) {
    return static_cast<uint16_t>(tag) <= abi::kRegisterWords;
}

// May `to` continue here, now, instead of the thread that blocks? A poke from another CPU (need_schedule)
// does not matter: its interrupt arrives as soon as the kernel is left.
[[gnu::always_inline]] inline bool can_switch(const Cpu& cpu, const Thread& to) {
    const SchedContext* s = to.sched;
    return s != nullptr && s->runs_on(cpu.id) &&
           (cpu.ready.bitmap == 0 || (cpu.ready.bitmap >> s->priority) <= 1);
}

[[gnu::always_inline]] inline void switch_to(Cpu& cpu, Thread& to) {
    to.state = ThreadState::Ready;
    cpu.current = &to;
}

// The tag is of a short message. Returned: the receiver, which runs now, and the badge that it gets.
struct Called {
    Thread* thread;
    uint64_t badge;
};
[[gnu::always_inline]] inline Called call_receiver(Cpu& cpu, Thread& t, const Slot& slot) {
    Endpoint& e = *slot.as<Endpoint>();
    if (e.receivers == nullptr) return {};
    Thread& to = *e.receivers;
    if (!to.waits_plainly(ThreadState::Receiving)) return {};
    if (to.sched == nullptr) {
        set_sched(to, t.sched);  // passive: runs on the caller's time, which runs here already
    } else if (!can_switch(cpu, to)) {
        return {};
    }

    e.receivers = to.next;
    if (to.next != nullptr) [[unlikely]] {
        to.next->previous = nullptr;
        to.next = nullptr;
    }
    Reply& reply = *to.reply;
    reply.thread = &t;
    t.reply = &reply;
    t.state = ThreadState::Replying;
    t.lent_rights = slot.rights;
    switch_to(cpu, to);
    return {&to, slot.badge};
}
[[gnu::always_inline]] inline Called fast_call(Cpu& cpu, Thread& t, uint64_t endpoint) {
    const Slot* slot = lookup_fast(t, endpoint, ObjectType::Endpoint, rights::kWrite);
    return slot != nullptr ? call_receiver(cpu, t, *slot) : Called{};
}

// `t` has faulted, in none of the places where it wants to continue by itself, and its handler does not ask
// for all registers.
[[gnu::always_inline]] inline Called fast_fault(Cpu& cpu, Thread& t) {
    if (t.user.rip - t.fixup_start < t.fixup_end - t.fixup_start) return {};
    const Slot& slot = t.slot[static_cast<size_t>(abi::ThreadSlot::FaultEndpoint)];
    if (!is_usable(slot, ObjectType::Endpoint, rights::kWrite) || (slot.rights & rights::kControl) != 0)
        return {};
    const Called called = call_receiver(cpu, t, slot);
    if (called.thread != nullptr) {
        t.in_fault = 1;
        t.user.by_syscall = 0;
    }
    return called;
}

// The answer to a fault, if it changes no more than RIP. False: nothing was done.
[[gnu::always_inline]] inline bool fast_resume(Thread& faulter, uint64_t tag, uint64_t rip) {
    const uint64_t label = abi::MessageTag{tag}.label();
    if (label == abi::kFaultResumeAt) {
        if (rip >= abi::kUserEnd) return false;
        faulter.user.rip = rip;
    } else if (label != abi::kFaultResume) {
        return false;
    }
    faulter.in_fault = 0;
    return true;
}

// `t`, which answered, waits in the endpoint again. Nobody calls there.
[[gnu::always_inline]] inline void wait_again(Thread& t, Endpoint& e, Reply& reply) {
    reply.thread = &t;
    t.reply = &reply;
    t.queue = &e;
    if (e.receivers == nullptr) [[likely]] {
        e.receivers = &t;
    } else {
        t.previous = e.tail;
        e.tail->next = &t;
    }
    e.tail = &t;
    t.state = ThreadState::Receiving;
    if (passive(t)) [[unlikely]]
        set_sched(t, nullptr);  // gives back what it was lent
}

// May `t` wait in `e` at once? Not when the next caller or a signal is there.
[[gnu::always_inline]] inline bool can_wait(const Thread& t, const Endpoint& e) {
    return e.callers == nullptr && (t.bound == nullptr || t.bound->bits == 0) &&
           t.user.r13 == abi::kDeadlineNever;
}

// The tag is of a short message; both capabilities lie in the root CNode, where a server keeps them.
// Returned: the caller, which runs now. If it had faulted, `resume` has to agree (fast_resume).
template <class Resume>
[[gnu::always_inline]] inline Thread* fast_reply_recv(Cpu& cpu, Thread& t, uint64_t endpoint, Resume resume) {
    const Slot* slot = lookup_near(t, endpoint, ObjectType::Endpoint, rights::kRead);
    if (slot == nullptr) return nullptr;
    Endpoint& e = *slot->as<Endpoint>();
    if (!can_wait(t, e)) return nullptr;
    slot = lookup_near(t, t.user.r12, ObjectType::Reply, 0);
    if (slot == nullptr) return nullptr;
    Reply& reply = *slot->as<Reply>();
    if (reply.thread == nullptr) return nullptr;
    Thread& to = *reply.thread;
    if (!can_switch(cpu, to)) return nullptr;
    if (!to.waits_plainly(ThreadState::Replying)) [[unlikely]] {
        if (!to.waits_in_fault() || !resume(to)) return nullptr;
    }
    wait_again(t, e, reply);
    switch_to(cpu, to);
    return &to;
}

// May `to`, which waits in a notification, become ready behind `t`, which runs on? Not when it deserves the
// CPU at once, nor when the timer would have to be set for the two of them.
[[gnu::always_inline]] inline bool can_queue(const Cpu& cpu, const Thread& t, const Thread& to) {
    const SchedContext* s = to.sched;
    if (!to.waits_plainly(ThreadState::Waiting) || s == nullptr || !s->runs_on(cpu.id)) return false;
    const SchedContext& running = *t.sched;
    if (s->priority < running.priority) return true;
    return s->priority == running.priority && cpu.charged == &running &&
           cpu.charged_since + running.slice_left >= cpu.timer_at;
}

// One waiter at most is woken; `t` runs on.
[[gnu::always_inline]] inline bool fast_signal(const Cpu& cpu, const Thread& t, uint64_t notification) {
    const Slot* slot = lookup_fast(t, notification, ObjectType::Notification, rights::kWrite);
    if (slot == nullptr) return false;
    Notification& n = *slot->as<Notification>();
    const uint64_t bits = n.bits | slot->badge;
    if (n.head == nullptr) {
        if (n.bound_thread != nullptr || n.bound_vcpu != nullptr) return false;
        n.bits = bits;
        return true;
    }
    Thread& to = *n.head;
    if (bits == 0 || !can_queue(cpu, t, to)) return false;
    n.head = to.next;
    (to.next != nullptr ? to.next->previous : n.tail) = nullptr;
    to.next = nullptr;
    n.bits = 0;
    to.user.rdx = bits;
    to.user.rax = 0;
    to.state = ThreadState::Ready;
    enqueue(to, false);
    return true;
}

// The bits that are there already; 0: none, nothing was done.
[[gnu::always_inline]] inline uint64_t fast_wait(const Thread& t, uint64_t notification) {
    const Slot* slot = lookup_fast(t, notification, ObjectType::Notification, rights::kRead);
    if (slot == nullptr) return 0;
    Notification& n = *slot->as<Notification>();
    const uint64_t bits = n.bits;
    n.bits = 0;
    return bits;
}

// A VMM goes on with its guest, without a deadline. Returned: the vCPU, which may run if its state page
// agrees (arch::vcpu_prepare); begin_run() is the commit.
[[gnu::always_inline]] inline Vcpu* fast_vcpu_run(const Thread& t, uint64_t vcpu, uint64_t deadline) {
    const Slot* slot = lookup_near(t, vcpu, ObjectType::Vcpu, rights::kControl);
    if (slot == nullptr || deadline != abi::kDeadlineNever) return nullptr;
    Vcpu& v = *slot->as<Vcpu>();
    if (v.thread != nullptr || v.parts != (Vcpu::kPage | Vcpu::kRoot) ||
        (v.bound != nullptr && v.bound->bits != 0))
        return nullptr;
    return &v;
}

}  // namespace bulkhead::core
