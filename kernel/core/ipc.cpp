// SPDX-License-Identifier: Apache-2.0
// Calls and replies. The whole path from a call to the receiver's first instruction is: look up two slots,
// copy four words in registers, make the receiver current. Nothing is queued unless somebody better is ready
// (see run_directly).
//
// A passive server (no SchedContext of its own) runs on the SchedContext of the thread that it serves; an
// active one on its own, and then only on that one's CPU.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

using abi::IpcBuffer;
using abi::MessageTag;

void queue_append(Endpoint& e, Thread*& head, Thread& t) {
    t.queue = &e;
    t.next = nullptr;
    t.previous = head != nullptr ? e.tail : nullptr;
    (head != nullptr ? e.tail->next : head) = &t;
    e.tail = &t;
}

void queue_pop(Thread*& head) {
    Thread& t = *head;
    head = t.next;
    if (head != nullptr) head->previous = nullptr;
    t.next = nullptr;
    t.queue = nullptr;
}

// Capabilities of a message. Stops at the first that cannot be handed over; returns how many were.
unsigned transfer_caps(Thread& from, Thread& to, unsigned count) {
    if (from.buffer == nullptr || to.buffer == nullptr) return 0;
    const uint64_t move = from.buffer->move;
    unsigned done = 0;
    for (; done < count; ++done) {
        const auto source =
            lookup_any(from, CapAddr{__atomic_load_n(&from.buffer->caps[done].raw, __ATOMIC_RELAXED)});
        const auto target =
            lookup_empty(to, CapAddr{__atomic_load_n(&to.buffer->receive_slots[done].raw, __ATOMIC_RELAXED)});
        if (!source || !target) break;
        Slot& s = **source;
        if ((move >> done & 1) != 0) {
            if ((s.flags & kSlotRevoking) != 0 || !cap_move(**target, s)) break;
        } else {
            if ((s.rights & rights::kDerive) == 0 || s.type == ObjectType::Untyped || is_revoking(s)) break;
            cap_derive(**target, s, rights::kAll | rights::kTombstone);
        }
    }
    to.buffer->received = done;
    return done;
}

// Everything beyond four words in registers. Returns the tag that the receiver sees.
[[gnu::noinline]] MessageTag transfer_long(Thread& from, Thread& to, MessageTag tag, bool granted) {
    unsigned words = tag.words();
    if (words > abi::kRegisterWords) {
        if (from.buffer == nullptr || to.buffer == nullptr) {
            words = abi::kRegisterWords;
        } else {
            for (unsigned i = abi::kRegisterWords; i < words; ++i)
                to.buffer->words[i] = from.buffer->words[i];
        }
    }
    unsigned caps = 0;
    if (tag.caps() != 0 && granted) caps = transfer_caps(from, to, tag.caps());
    return MessageTag{tag.label(), words, caps};
}

bool is_short(MessageTag tag) {
    return (tag.raw & 0xffff) <= abi::kRegisterWords;
}
bool well_formed(MessageTag tag) {
    return tag.words() <= abi::kMessageWords && tag.caps() <= abi::kMessageCaps;
}

inline void transfer(Thread& from, Thread& to, bool granted) {
    MessageTag tag{from.user.rsi};
    if (!is_short(tag)) tag = transfer_long(from, to, tag, granted);
    to.user.rsi = tag.raw;
    to.user.rdx = from.user.rdx;
    to.user.r10 = from.user.r10;
    to.user.r8 = from.user.r8;
    to.user.r9 = from.user.r9;
    to.user.rax = 0;
}

// `from` has called: its message goes to `to`, it parks in `reply`.
inline void hand_over(Thread& from, Thread& to, Reply& reply, uint64_t badge, uint8_t lent_rights) {
    from.lent_rights = lent_rights;
    if (from.in_fault != 0) {
        transfer_fault(from, to);
    } else {
        transfer(from, to, (lent_rights & rights::kGrant) != 0);
    }
    to.user.rdi = badge;
    reply.thread = &from;
    from.reply = &reply;
    from.state = ThreadState::Replying;
}

// Answers the caller that is parked in `reply` with the message in `server`'s registers; it is Ready then,
// but not queued.
inline Thread& answer(Thread& server, Reply& reply) {
    Thread& caller = *reply.thread;
    reply.thread = nullptr;
    caller.state = ThreadState::Ready;
    if (caller.in_fault != 0) {
        fault_reply(caller, server);
    } else {
        transfer(server, caller, (caller.lent_rights & rights::kGrant) != 0);
    }
    return caller;
}

// A passive server that waits again gives back the time it was lent.
inline void end_donation(Thread& t) {
    if (passive(t) && t.sched != nullptr) set_sched(t, nullptr);
}

struct Receive {
    Endpoint* endpoint;
    Reply* reply;
};

Status decode_receive(const Thread& t, const UserContext& u, Receive& out) {
    const auto e = lookup(t, CapAddr{u.rdi}, ObjectType::Endpoint, rights::kRead);
    if (!e) return e.status();
    const auto r = lookup(t, CapAddr{u.r12}, ObjectType::Reply, 0);
    if (!r) return r.status();
    out = {e->as<Endpoint>(), r->as<Reply>()};
    return Status::Ok;
}

// `t` (running) receives. Ok: it has a message. kBlocked: it waits. Restart: callers that cannot be served
// were sent away.
Status receive(Cpu& cpu, Thread& t, Endpoint& e, Reply& reply, uint64_t deadline) {
    if (t.bound != nullptr && t.bound->bits != 0) {
        t.user.rdx = take_bits(*t.bound);
        return Status::Notified;
    }
    while (e.callers != nullptr) {
        Thread& caller = *e.callers;
        const bool is_passive = passive(t);
        if (caller.sched == nullptr || (!is_passive && caller.sched->cpu != cpu.id && caller.in_fault == 0)) {
            finish_wait(caller, Status::WrongCpu);
            if (arch::preemption_pending()) return Status::Restart;
            continue;
        }
        queue_pop(e.callers);
        hand_over(caller, t, reply, caller.badge, caller.lent_rights);
        if (is_passive && t.sched != caller.sched) {  // from here on it runs on this caller's time
            block_current(cpu);
            set_sched(t, caller.sched);
            make_ready(t);
        }
        return Status::Ok;
    }
    if (deadline != abi::kDeadlineNever) {
        if (deadline <= arch::now()) return Status::Timeout;
        if (passive(t)) return Status::NotReady;  // it would wake up without time to run on
        arm_timer(t, deadline);
    }
    queue_append(e, e.receivers, t);
    t.reply = &reply;
    reply.thread = &t;
    t.state = ThreadState::Receiving;
    return kBlocked;
}

}  // namespace

void endpoint_remove(Endpoint& e, Thread& t) {
    Thread*& head = t.state == ThreadState::Receiving ? e.receivers : e.callers;
    (t.previous != nullptr ? t.previous->next : head) = t.next;
    (t.next != nullptr ? t.next->previous : e.tail) = t.previous;
    t.next = t.previous = nullptr;
    t.queue = nullptr;
}

bool endpoint_destroy_step(Endpoint& e) {
    if (e.callers != nullptr) {
        finish_wait(*e.callers, Status::PeerGone);
    } else if (e.receivers != nullptr) {
        finish_wait(*e.receivers, Status::PeerGone);
    }
    return e.callers == nullptr && e.receivers == nullptr;
}

void reply_destroy(Reply& r) {
    if (r.thread != nullptr) finish_wait(*r.thread, Status::PeerGone);
}

// `from` is running and calls (or has faulted). On success it is blocked, and the receiver, if one waited,
// runs. A fault reaches its handler on any CPU: whoever faulted cannot do anything about where it is.
Status deliver_call(Cpu& cpu, Thread& from, Endpoint& e, uint64_t badge, uint8_t lent_rights) {
    if (e.receivers == nullptr) {
        from.badge = badge;
        from.lent_rights = lent_rights;
        from.state = ThreadState::Calling;
        queue_append(e, e.callers, from);
        block_current(cpu);
        return kBlocked;
    }
    Thread& to = *e.receivers;
    if (to.sched == nullptr) {
        set_sched(to, from.sched);
    } else if (to.sched->cpu != cpu.id && from.in_fault == 0) {
        return Status::WrongCpu;
    }
    queue_pop(e.receivers);
    disarm_timer(to);
    hand_over(from, to, *to.reply, badge, lent_rights);
    if (to.sched->cpu != cpu.id) {
        block_current(cpu);
        make_ready(to);
        return kBlocked;
    }
    to.state = ThreadState::Ready;
    run_directly(cpu, to);
    return kBlocked;
}

Status sys_call(Cpu& cpu, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Endpoint, rights::kWrite);
    if (!slot) return slot.status();
    if (!well_formed(MessageTag{u.rsi})) return Status::BadArgument;
    return deliver_call(cpu, t, *slot->as<Endpoint>(), slot->badge, slot->rights);
}

Status sys_recv(Cpu& cpu, Thread& t, UserContext& u) {
    Receive r;
    if (const Status status = decode_receive(t, u, r); status != Status::Ok) return status;
    if (r.reply->thread != nullptr) return Status::Busy;
    const Status status = receive(cpu, t, *r.endpoint, *r.reply, u.r13);
    if (status == kBlocked) {
        block_current(cpu);
        end_donation(t);
    }
    return status;
}

// A Reply without a caller (it was suspended, destroyed, or there never was one) is not an error: a server
// could do nothing about it.
Status sys_reply_recv(Cpu& cpu, Thread& t, UserContext& u) {
    Receive r;
    if (const Status status = decode_receive(t, u, r); status != Status::Ok) return status;
    if (!well_formed(MessageTag{u.rsi})) return Status::BadArgument;
    if (r.reply->receiver() != nullptr) return Status::Busy;
    Thread* caller = r.reply->caller() != nullptr ? &answer(t, *r.reply) : nullptr;
    const Status status = receive(cpu, t, *r.endpoint, *r.reply, u.r13);
    if (status != kBlocked) {
        if (caller != nullptr && caller->state == ThreadState::Ready) make_ready(*caller);
        return status;
    }
    if (caller != nullptr && caller->state == ThreadState::Ready && caller->sched != nullptr &&
        caller->sched->cpu == cpu.id) {
        end_donation(t);
        run_directly(cpu, *caller);
        return kBlocked;
    }
    block_current(cpu);
    end_donation(t);
    if (caller != nullptr && caller->state == ThreadState::Ready) make_ready(*caller);
    return kBlocked;
}

Status sys_reply(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.r12}, ObjectType::Reply, 0);
    if (!slot) return slot.status();
    if (!well_formed(MessageTag{u.rsi})) return Status::BadArgument;
    Reply& reply = *slot->as<Reply>();
    if (reply.caller() == nullptr) return Status::PeerGone;
    Thread& caller = answer(t, reply);
    if (caller.state == ThreadState::Ready) make_ready(caller);
    return Status::Ok;
}

}  // namespace bulkhead::core
