// SPDX-License-Identifier: Apache-2.0
// Call and reply_recv for the usual case: four words or fewer, no capabilities, the partner waits, it is
// passive or belongs to this CPU, nobody better is ready. Each is a list of checks that change nothing, then
// a commit that cannot fail. False: take the general path (ipc.cpp), which means the same. And Signal when
// nobody waits for it.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

// May `to` continue here, now, instead of the thread that blocks?
inline bool can_switch(const Cpu& cpu, const Thread& to) {
    const SchedContext* s = to.sched;
    if (s == nullptr || s->cpu != cpu.id) return false;
    if ((s->paused | s->throttled) != 0) return false;
    if ((cpu.ready.bitmap >> s->priority) > 1) return false;  // somebody better is ready
    return to.root != nullptr;
}

inline bool short_message(uint64_t tag) {
    return (tag & 0xffff) <= abi::kRegisterWords;
}

inline void copy_message(const UserContext& from, UserContext& to) {
    to.rsi = from.rsi;
    to.rdx = from.rdx;
    to.r10 = from.r10;
    to.r8 = from.r8;
    to.r9 = from.r9;
    to.rax = 0;
}

inline void switch_to(Cpu& cpu, Thread& from, Thread& to) {
    from.running_on = nullptr;
    to.running_on = &cpu;
    to.state = ThreadState::Ready;
    cpu.current = &to;
}

// The handler of `to`'s fault lets it continue, as it was or with the registers in the handler's buffer.
inline bool resume_fault(const Thread& handler, Thread& to) {
    const uint64_t label = abi::MessageTag{handler.user.rsi}.label();
    if (label == abi::kFaultResume) return true;
    return label == abi::kFaultResumeRegs && load_registers_from(handler, to);
}

}  // namespace

bool fast_call(Cpu& cpu, Thread& t) {
    const UserContext& u = t.user;
    const Slot* slot = lookup_fast(t, u.rdi, ObjectType::Endpoint, rights::kWrite);
    if (slot == nullptr || !short_message(u.rsi)) return false;
    Endpoint& e = *slot->as<Endpoint>();
    if (e.receivers == 0) return false;
    Thread& to = *e.head;
    const bool lend = to.sched == nullptr;  // passive: runs on the caller's time, which runs here already
    if (lend ? to.root == nullptr : !can_switch(cpu, to)) return false;
    if (to.timer.armed() || cpu.need_schedule != 0) return false;

    Thread* rest = to.next;
    e.head = rest;
    if (rest == nullptr) {
        e.tail = nullptr;
        e.receivers = 0;
    } else {
        rest->previous = nullptr;
        to.next = nullptr;
    }
    copy_message(u, to.user);
    to.user.rdi = slot->badge;
    Reply& reply = *to.reply;
    reply.caller = &t;
    reply.receiver = nullptr;
    to.reply = nullptr;
    t.reply = &reply;
    t.state = ThreadState::Replying;
    t.granted = slot->rights & rights::kGrant;
    if (lend) set_sched(to, t.sched);
    switch_to(cpu, t, to);
    return true;
}

bool fast_reply_recv(Cpu& cpu, Thread& t) {
    const UserContext& u = t.user;
    const Slot* slot = lookup_fast(t, u.rdi, ObjectType::Endpoint, rights::kRead);
    const Slot* reply_slot = lookup_fast(t, u.r12, ObjectType::Reply, 0);
    if (slot == nullptr || reply_slot == nullptr || !short_message(u.rsi)) return false;
    Endpoint& e = *slot->as<Endpoint>();
    Reply& reply = *reply_slot->as<Reply>();
    if (reply.caller == nullptr || u.r13 != abi::kDeadlineNever) return false;
    Thread& to = *reply.caller;
    if (!can_switch(cpu, to) || cpu.need_schedule != 0) return false;
    if (e.head != nullptr && e.receivers == 0) return false;  // the next caller waits already
    if (t.bound != nullptr && t.bound->bits != 0) return false;

    if (to.in_fault == 0) {
        copy_message(u, to.user);
    } else {
        if (!resume_fault(t, to)) return false;  // the general path will find the same, and stop it
        to.in_fault = 0;
    }
    to.reply = nullptr;
    reply.caller = nullptr;
    reply.receiver = &t;
    t.reply = &reply;
    t.queue = &e;
    t.previous = e.tail;
    (e.tail != nullptr ? e.tail->next : e.head) = &t;
    e.tail = &t;
    e.receivers = 1;
    t.state = ThreadState::Receiving;
    if (passive(t)) set_sched(t, nullptr);  // gives back what it was lent
    switch_to(cpu, t, to);
    return true;
}

bool fast_signal(Thread& t) {
    const Slot* slot = lookup_fast(t, t.user.rdi, ObjectType::Notification, rights::kWrite);
    if (slot == nullptr) return false;
    Notification& n = *slot->as<Notification>();
    if (n.head != nullptr || n.bound_thread != nullptr || n.bound_vcpu != nullptr) return false;
    n.bits |= slot->badge;
    t.user.rax = 0;
    return true;
}

}  // namespace bulkhead::core
