// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

using abi::ThreadSlot;

constexpr uint64_t kUserFlags = 0x0024'0cd5;  // CF PF AF ZF SF DF OF AC ID; no TF, no IOPL
constexpr uint64_t kFlagsFixed = 0x202;       // bit 1 reads as one; interrupts stay on in user mode

// TF would single-step into the kernel entry on some CPUs: not offered.
uint64_t sanitize_flags(uint64_t flags) {
    return (flags & kUserFlags) | kFlagsFixed;
}

Slot& slot_of(Thread& t, ThreadSlot which) {
    return t.slot[static_cast<size_t>(which)];
}

Result<Thread*> lookup_thread(const Thread& t, uint64_t address) {
    const auto slot = lookup(t, CapAddr{address}, ObjectType::Thread, rights::kControl);
    if (!slot) return slot.status();
    return Thread::from(slot->as<Object>());
}

}  // namespace

bool valid_user_address(uint64_t address) {
    return address < abi::kUserEnd;
}

void save_registers(const Thread& t, abi::ThreadRegisters& out) {
    const UserContext& u = t.user;
    // Member by member: an aggregate would be built on the stack and copied.
    out.rax = u.rax, out.rbx = u.rbx, out.rcx = u.rcx, out.rdx = u.rdx, out.rsi = u.rsi, out.rdi = u.rdi,
    out.rbp = u.rbp, out.rsp = u.rsp;
    out.r8 = u.r8, out.r9 = u.r9, out.r10 = u.r10, out.r11 = u.r11, out.r12 = u.r12, out.r13 = u.r13,
    out.r14 = u.r14, out.r15 = u.r15;
    out.rip = u.rip, out.rflags = u.rflags, out.fs_base = u.fs_base, out.gs_base = u.gs_base;
    out.fault_vector = u.vector, out.fault_error = u.error, out.fault_address = u.address,
    out.domain_tag = t.header.tag;
}

bool load_registers(Thread& t, const abi::ThreadRegisters& in) {
    if (!valid_user_address(in.rip) || !valid_user_address(in.fs_base) || !valid_user_address(in.gs_base))
        return false;
    UserContext& u = t.user;
    u.rax = in.rax, u.rbx = in.rbx, u.rcx = in.rcx, u.rdx = in.rdx, u.rsi = in.rsi, u.rdi = in.rdi,
    u.rbp = in.rbp, u.rsp = in.rsp;
    u.r8 = in.r8, u.r9 = in.r9, u.r10 = in.r10, u.r11 = in.r11, u.r12 = in.r12, u.r13 = in.r13,
    u.r14 = in.r14, u.r15 = in.r15;
    u.rip = in.rip, u.rflags = sanitize_flags(in.rflags), u.fs_base = in.fs_base, u.gs_base = in.gs_base;
    u.by_syscall = 0;
    return true;
}

void cancel_wait(Thread& t) {
    disarm_timer(t);
    switch (t.state) {
        case ThreadState::Calling: endpoint_remove(*static_cast<Endpoint*>(t.queue), t); break;
        case ThreadState::Receiving:
            endpoint_remove(*static_cast<Endpoint*>(t.queue), t);
            t.reply->thread = nullptr;
            break;
        case ThreadState::Replying: t.reply->thread = nullptr; break;
        case ThreadState::Waiting: notification_remove(*static_cast<Notification*>(t.queue), t); break;
        default: break;
    }
    t.queue = nullptr;
    t.state = ThreadState::Inactive;
}

void finish_wait(Thread& t, Status status) {
    const bool faulted = t.in_fault != 0;
    cancel_wait(t);
    t.in_fault = 0;
    if (faulted) {
        fault_unanswered(t, "its fault handler is gone");
        return;
    }
    t.user.rax = static_cast<uint64_t>(status);
    make_ready(t);
}

void thread_destroy(Thread& t) {
    stop_running(t);
    if (t.guest != nullptr) vcpu_abort(*t.guest, Status::Aborted);
    stop_running(t);
    cancel_wait(t);
    t.suspended = 1;
    set_sched(t, nullptr);
}

void thread_slot_cleared(Thread& t, uint32_t index) {
    switch (static_cast<ThreadSlot>(index)) {
        case ThreadSlot::CSpace:
            t.cspace = no_cspace;
            t.cspace_mask = 0;
            break;
        case ThreadSlot::VSpace:
            stop_running(t);  // Ready without an address space: queued again when it gets one
            t.root = nullptr;
            t.has_root = 0;
            break;
        case ThreadSlot::IpcBuffer: t.buffer = nullptr; break;
        case ThreadSlot::FaultEndpoint: break;
        case ThreadSlot::SchedContext:
            stop_running(t);
            set_sched(t, nullptr);
            break;
        case ThreadSlot::BoundNotification:
            if (t.bound != nullptr) t.bound->bound_thread = nullptr;
            t.bound = nullptr;
            break;
    }
}

namespace {

struct Wanted {
    ObjectType type;
    uint8_t rights;
};
constexpr Wanted kWanted[abi::kThreadSlots] = {
    {ObjectType::CNode, rights::kControl},
    {ObjectType::PageTable, rights::kControl},
    {ObjectType::Frame, rights::kRead | rights::kWrite},
    {ObjectType::Endpoint, rights::kWrite},
    {ObjectType::SchedContext, rights::kRead},
    {ObjectType::Notification, rights::kRead},
};

Status check_content(ThreadSlot which, const Slot& from) {
    switch (which) {
        case ThreadSlot::VSpace: {
            const PageTable& root = *from.as<PageTable>();
            return root.level == 4 && root.kind == TableKind::Host ? Status::Ok : Status::BadArgument;
        }
        case ThreadSlot::IpcBuffer:
            return from.size_bits == abi::kPageBits && !from.device() ? Status::Ok : Status::BadArgument;
        case ThreadSlot::SchedContext:
            return from.as<SchedContext>()->configured != 0 ? Status::Ok : Status::NotReady;
        case ThreadSlot::BoundNotification: {
            const Notification& n = *from.as<Notification>();
            return n.bound_thread == nullptr && n.bound_vcpu == nullptr ? Status::Ok : Status::Busy;
        }
        default: return Status::Ok;
    }
}

void take_content(Thread& t, ThreadSlot which, const Slot& s) {
    switch (which) {
        case ThreadSlot::CSpace:
            t.cspace = s.as<CNode>()->slot;
            t.cspace_mask = (uint64_t{1} << s.as<CNode>()->header.size_bits) - 1;
            break;
        case ThreadSlot::VSpace:
            t.root = s.as<PageTable>();
            t.has_root = 1;
            break;
        case ThreadSlot::IpcBuffer:
            t.buffer = static_cast<abi::IpcBuffer*>(arch::phys_to_virt(PhysAddr{s.object}));
            break;
        case ThreadSlot::FaultEndpoint: break;
        case ThreadSlot::SchedContext: set_sched(t, s.as<SchedContext>()); break;
        case ThreadSlot::BoundNotification:
            t.bound = s.as<Notification>();
            t.bound->bound_thread = &t;
            break;
    }
}

}  // namespace

// The content of a thread's slot is a child of the capability it was set from, so that revoking that clears
// it.
Status thread_set(Thread& t, ThreadSlot which, Slot* from) {
    Slot& slot = slot_of(t, which);
    if (from != nullptr) {
        const Wanted& wanted = kWanted[static_cast<size_t>(which)];
        if (from->type != wanted.type) return Status::WrongType;
        if ((from->rights & wanted.rights) != wanted.rights) return Status::NoRights;
        if (is_revoking(*from)) return Status::Revoking;
    }
    // Replacing in place: the old content goes first, so a notification that is bound here may be bound here
    // again.
    if (!slot.empty()) {
        const Status status = cap_delete(slot);
        if (status != Status::Ok) return status;
    }
    if (from == nullptr) return Status::Ok;
    if (from->empty() || (from->flags & kSlotGone) != 0)
        return Status::NoCapability;  // it went with the old content
    if (const Status status = check_content(which, *from); status != Status::Ok) return status;
    if (which == ThreadSlot::SchedContext && t.sched != nullptr) {
        stop_running(t);
        set_sched(t, nullptr);
    }
    slot.home = (static_cast<uint32_t>(which) << 8) | static_cast<uint32_t>(SlotHome::Thread);
    cap_derive(slot, *from, rights::kAll);
    take_content(t, which, slot);
    if (t.state == ThreadState::Ready) make_ready(t);
    return Status::Ok;
}

Status sys_thread_set(Cpu&, Thread& t, UserContext& u) {
    const auto thread = lookup_thread(t, u.rdi);
    if (!thread) return thread.status();
    if (u.rsi >= abi::kThreadSlots) return Status::BadArgument;
    Slot* from = nullptr;
    if (u.rdx != 0) {
        const auto slot = lookup_any(t, CapAddr{u.rdx});
        if (!slot) return slot.status();
        from = *slot;
    }
    return thread_set(**thread, static_cast<ThreadSlot>(u.rsi), from);
}

Status sys_thread_start(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_thread(t, u.rdi);
    if (!found) return found.status();
    Thread& target = **found;
    if (!valid_user_address(u.rsi) || !valid_user_address(u.r9)) return Status::BadArgument;
    if (target.sched == nullptr || target.root == nullptr || target.cspace == no_cspace)
        return Status::NotReady;
    if (target.state != ThreadState::Inactive || target.running_on() != nullptr) return Status::Busy;
    const uint64_t gs_base = 0;
    target.user = UserContext{};
    target.user.rip = u.rsi;
    target.user.rsp = u.rdx;
    target.user.rdi = u.r10;
    target.user.rsi = u.r8;
    target.user.fs_base = u.r9;
    target.user.gs_base = gs_base;
    target.user.rflags = kFlagsFixed;
    target.progress = 0;
    target.suspended = target.ended = target.in_fault = 0;
    arch::fpu_init(target.fpu());
    make_ready(target);
    return Status::Ok;
}

Status sys_thread_suspend(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_thread(t, u.rdi);
    if (!found) return found.status();
    Thread& target = **found;
    if (target.state == ThreadState::Inactive && target.suspended == 0) return Status::NotReady;
    target.suspended = 1;
    if (&target == &t) {
        u.rax = static_cast<uint64_t>(Status::Ok);
        stop_running(t);
        return kBlocked;
    }
    stop_running(target);
    if (target.guest != nullptr) vcpu_abort(*target.guest, Status::Aborted);
    if (target.state != ThreadState::Ready && target.state != ThreadState::Inactive) {
        const bool faulted = target.in_fault != 0;
        cancel_wait(target);
        target.in_fault = 0;
        if (!faulted)
            target.user.rax =
                static_cast<uint64_t>(Status::Aborted);  // a faulting thread repeats the instruction
        target.state = ThreadState::Ready;
    }
    return Status::Ok;
}

Status sys_thread_resume(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_thread(t, u.rdi);
    if (!found) return found.status();
    Thread& target = **found;
    if (target.suspended == 0 || target.ended != 0) return Status::NotReady;
    target.suspended = 0;
    if (target.state == ThreadState::Ready) make_ready(target);
    return Status::Ok;
}

Status sys_thread_read(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_thread(t, u.rdi);
    if (!found) return found.status();
    if (t.buffer == nullptr) return Status::NotReady;
    Thread& target = **found;
    if (target.running_on() != nullptr &&
        &target != &t) {  // its registers are in its CPU: stop it for a moment
        stop_running(target);
        make_ready(target);
    }
    abi::ThreadRegisters registers;
    save_registers(target, registers);
    __builtin_memcpy(t.buffer->data, &registers, sizeof registers);
    return Status::Ok;
}

Status sys_thread_upcall(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_thread(t, u.rdi);
    if (!found) return found.status();
    Thread& target = **found;
    if (!valid_user_address(u.rsi) || !valid_user_address(u.rdx) || !valid_user_address(u.r10) ||
        !valid_user_address(u.r8))
        return Status::BadArgument;
    target.upcall = u.rsi;
    target.fixup_start = u.rdx;
    target.fixup_end = u.r10;
    target.fixup_landing = u.r8;
    return Status::Ok;
}

Status sys_thread_exit(Cpu&, Thread& t, UserContext& u) {
    Notification* joiner = nullptr;
    uint64_t badge = 0;
    if (u.rsi != 0) {
        const auto slot = lookup(t, CapAddr{u.rsi}, ObjectType::Notification, rights::kWrite);
        if (!slot) return slot.status();
        joiner = slot->as<Notification>();
        badge = slot->badge;
    }
    if (u.rdi != 0) {
        const uint64_t physical = (u.rdi & 3) == 0 ? translate(*t.root, u.rdi, true) : 0;
        if (physical == 0) return Status::BadArgument;
        __atomic_store_n(static_cast<uint32_t*>(arch::phys_to_virt(PhysAddr{physical})), 0u,
                         __ATOMIC_RELEASE);
    }
    stop_running(t);
    t.state = ThreadState::Inactive;
    t.suspended = t.ended = 1;
    if (joiner != nullptr) signal(*joiner, badge);
    return kBlocked;
}

}  // namespace bulkhead::core
