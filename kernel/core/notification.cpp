// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

uint64_t take_bits(Notification& n) {
    const uint64_t bits = n.bits;
    n.bits = 0;
    return bits;
}

void notification_remove(Notification& n, Thread& t) {
    (t.previous != nullptr ? t.previous->next : n.head) = t.next;
    (t.next != nullptr ? t.next->previous : n.tail) = t.previous;
    t.next = t.previous = nullptr;
    t.queue = nullptr;
}

namespace {

// A bound thread in a receive gets the bits; a passive one would wake up without time to run on, it finds
// them later.
bool wake_bound_thread(Notification& n) {
    Thread* t = n.bound_thread;
    if (t == nullptr || t->state != ThreadState::Receiving || t->sched == nullptr) return false;
    t->user.rdx = take_bits(n);
    finish_wait(*t, Status::Notified);
    return true;
}

// A guest that runs leaves at once; one that is preempted, before it would run again (see guest_must_leave).
void wake_bound_vcpu(Notification& n) {
    Thread* t = n.bound_vcpu != nullptr ? n.bound_vcpu->thread : nullptr;
    if (t == nullptr) return;
    if (Cpu* cpu = t->running_on(); cpu != nullptr) poke(*cpu);
}

}  // namespace

// One waiter gets all bits; the others wait on.
void signal(Notification& n, uint64_t badge) {
    n.bits |= badge;
    if (n.bits == 0) return;
    if (n.head != nullptr) {
        Thread& t = *n.head;
        n.head = t.next;
        (n.head != nullptr ? n.head->previous : n.tail) = nullptr;
        t.next = nullptr;
        disarm_timer(t);
        t.user.rdx = take_bits(n);
        t.user.rax = static_cast<uint64_t>(Status::Ok);
        make_ready(t);
        return;
    }
    if (n.bound_thread != nullptr && wake_bound_thread(n)) return;
    if (n.bound_vcpu != nullptr) wake_bound_vcpu(n);
}

bool notification_destroy_step(Notification& n) {
    if (n.head == nullptr) return true;
    finish_wait(*n.head, Status::PeerGone);
    return n.head == nullptr;
}

Status sys_signal(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Notification, rights::kWrite);
    if (!slot) return slot.status();
    signal(*slot->as<Notification>(), slot->badge);
    return Status::Ok;
}

Status sys_wait(Cpu& cpu, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Notification, rights::kRead);
    if (!slot) return slot.status();
    Notification& n = *slot->as<Notification>();
    if (n.bits != 0) {
        u.rdx = take_bits(n);
        return Status::Ok;
    }
    const uint64_t deadline = u.rsi;
    if (deadline != abi::kDeadlineNever) {
        if (deadline <= arch::now()) return Status::Timeout;
        arm_timer(t, deadline);
    }
    t.state = ThreadState::Waiting;
    t.queue = &n;
    t.next = nullptr;
    t.previous = n.tail;
    (n.tail != nullptr ? n.tail->next : n.head) = &t;
    n.tail = &t;
    block_current(cpu);
    return kBlocked;
}

}  // namespace bulkhead::core
