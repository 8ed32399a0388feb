// SPDX-License-Identifier: Apache-2.0
// vcpu_run: the thread stays Ready and runs the guest instead of its own code until the guest exits for its
// VMM, the bound notification is signalled, the deadline passes, or something that the vCPU needs is taken
// away.
#include "kernel/core/fastpath.hpp"
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

using abi::ExitReason;
using abi::VcpuSlot;

void finish_run(Vcpu& v, Status status, uint64_t result) {
    Thread& t = *v.thread;
    end_run(t, v);
    t.user.rax = static_cast<uint64_t>(status);
    t.user.rdx = result;
}

// The run ends before the guest was entered: the page still holds what the VMM wrote, and no event waits but
// `inject`.
void not_entered(abi::VcpuState& page, ExitReason reason) {
    page.reason = reason;
    page.interrupted_event = 0;
    page.next_rip = 0;
}

}  // namespace

bool guest_must_leave(const Thread& t) {
    return t.guest_timeout != 0 || (t.guest->bound != nullptr && t.guest->bound->bits != 0);
}

// An event beats a timeout.
void guest_leave(Thread& t) {
    Vcpu& v = *t.guest;
    const bool notified = v.bound != nullptr && v.bound->bits != 0;
    arch::vcpu_leave(v.area(), *v.page, notified ? ExitReason::Notified : ExitReason::Timeout);
    if (notified) {
        finish_run(v, Status::Notified, take_bits(*v.bound));
    } else {
        finish_run(v, Status::Timeout, static_cast<uint64_t>(ExitReason::Timeout));
    }
}

void vcpu_abort(Vcpu& v, Status status) {
    if (v.thread == nullptr) return;
    Thread& t = *v.thread;
    stop_running(t);
    if (v.page != nullptr) arch::vcpu_leave(v.area(), *v.page, ExitReason::None);
    finish_run(v, status, 0);
    if (t.state == ThreadState::Ready) make_ready(t);
}

void vcpu_destroy(Vcpu& v) {
    vcpu_abort(v, Status::PeerGone);
    arch::vcpu_destroy(v.area());
}

void vcpu_slot_cleared(Vcpu& v, uint32_t index) {
    switch (static_cast<VcpuSlot>(index)) {
        case VcpuSlot::StatePage:
            vcpu_abort(v, Status::NotReady);
            v.page = nullptr;
            v.parts &= ~Vcpu::kPage;
            break;
        case VcpuSlot::GuestRoot:
            vcpu_abort(v, Status::NotReady);
            v.guest_root = nullptr;
            v.parts &= ~Vcpu::kRoot;
            break;
        case VcpuSlot::BoundNotification:
            if (v.bound != nullptr) v.bound->bound_vcpu = nullptr;
            v.bound = nullptr;
            break;
    }
}

void handle_vcpu_exit(Cpu& cpu, Vcpu& v, ExitReason reason) {
    sys.here = &cpu;
    finish_run(v, Status::Ok, static_cast<uint64_t>(reason));
    if (cpu.need_schedule != 0) schedule(cpu);
}

Status sys_vcpu_run(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Vcpu, rights::kControl);
    if (!slot) return slot.status();
    Vcpu& v = *slot->as<Vcpu>();
    if (v.thread != nullptr) return Status::Busy;
    if (v.page == nullptr || v.guest_root == nullptr) return Status::NotReady;
    if (v.bound != nullptr && v.bound->bits != 0) {
        not_entered(*v.page, ExitReason::Notified);
        u.rdx = take_bits(*v.bound);
        return Status::Notified;
    }
    const uint64_t deadline = u.rsi;
    const bool sync_only =
        (__atomic_load_n(&v.page->flags, __ATOMIC_RELAXED) & abi::VcpuState::kSyncOnly) != 0;
    if (deadline != abi::kDeadlineNever && !sync_only && deadline <= arch::now()) {
        not_entered(*v.page, ExitReason::Timeout);
        return Status::Timeout;
    }
    uint64_t field = 0;
    if (const Status status = arch::vcpu_prepare(v.area(), *v.page, &field); status != Status::Ok) {
        u.rdx = field;
        return status;
    }
    if (sync_only) {
        arch::vcpu_leave(v.area(), *v.page, ExitReason::Synced);
        u.rdx = static_cast<uint64_t>(ExitReason::Synced);
        return Status::Ok;
    }
    arm_timer(t, deadline);
    begin_run(t, v);
    return kBlocked;  // RAX is written when the run ends
}

namespace {

constexpr ObjectType kWanted[abi::kVcpuSlots] = {ObjectType::Frame, ObjectType::PageTable,
                                                 ObjectType::Notification};
constexpr uint8_t kNeeded[abi::kVcpuSlots] = {rights::kRead | rights::kWrite, rights::kControl,
                                              rights::kRead};

Status check_content(VcpuSlot which, const Slot& from) {
    switch (which) {
        case VcpuSlot::StatePage:
            return from.size_bits == abi::kPageBits && !from.device() ? Status::Ok : Status::BadArgument;
        case VcpuSlot::GuestRoot: {
            const PageTable& root = *from.as<PageTable>();
            return root.level == 4 && root.kind == TableKind::Guest ? Status::Ok : Status::BadArgument;
        }
        case VcpuSlot::BoundNotification: {
            const Notification& n = *from.as<Notification>();
            return n.bound_thread == nullptr && n.bound_vcpu == nullptr ? Status::Ok : Status::Busy;
        }
    }
    return Status::BadArgument;
}

void take_content(Vcpu& v, VcpuSlot which, const Slot& s) {
    switch (which) {
        case VcpuSlot::StatePage:
            v.page = static_cast<abi::VcpuState*>(arch::phys_to_virt(PhysAddr{s.object}));
            v.parts |= Vcpu::kPage;
            break;
        case VcpuSlot::GuestRoot:
            v.guest_root = s.as<PageTable>();
            v.parts |= Vcpu::kRoot;
            break;
        case VcpuSlot::BoundNotification:
            v.bound = s.as<Notification>();
            v.bound->bound_vcpu = &v;
            break;
    }
}

}  // namespace

Status sys_vcpu_set(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup(t, CapAddr{u.rdi}, ObjectType::Vcpu, rights::kControl);
    if (!found) return found.status();
    if (u.rsi >= abi::kVcpuSlots) return Status::BadArgument;
    Vcpu& v = *found->as<Vcpu>();
    if (v.thread != nullptr) return Status::Busy;
    Slot& slot = v.slot[u.rsi];
    Slot* from = nullptr;
    if (u.rdx != 0) {
        const auto source = lookup_any(t, CapAddr{u.rdx});
        if (!source) return source.status();
        from = *source;
        if (from->type != kWanted[u.rsi]) return Status::WrongType;
        if ((from->rights & kNeeded[u.rsi]) != kNeeded[u.rsi]) return Status::NoRights;
        if (is_revoking(*from)) return Status::Revoking;
    }
    if (!slot.empty()) {
        if (const Status status = cap_delete(slot); status != Status::Ok) return status;
    }
    if (from == nullptr) return Status::Ok;
    const VcpuSlot which = static_cast<VcpuSlot>(u.rsi);
    if (const Status status = check_content(which, *from); status != Status::Ok) return status;
    slot.home = (static_cast<uint32_t>(which) << 8) | static_cast<uint32_t>(SlotHome::Vcpu);
    cap_derive(slot, *from, rights::kAll);
    take_content(v, which, slot);
    return Status::Ok;
}

}  // namespace bulkhead::core
