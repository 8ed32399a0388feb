// SPDX-License-Identifier: Apache-2.0
// Interrupts and I/O ports of user-level drivers.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

void irq_slot_cleared(Irq& irq) {
    arch::irq_mask(irq.gsi);
}

void irq_destroy(Irq& irq) {
    arch::irq_release(irq.gsi);
}

void handle_device_interrupt(Cpu& cpu, uint32_t gsi) {
    sys.here = &cpu;
    if (gsi >= kMaxIrqs) return;
    const Slot& bound = sys.irq[gsi].slot[0];
    if (bound.type == ObjectType::Notification && (bound.flags & kSlotGone) == 0)
        signal(*bound.as<Notification>(), bound.badge);
    if (cpu.need_schedule != 0) schedule(cpu);
}

Status sys_irq_claim(Cpu&, Thread& t, UserContext& u) {
    const auto control = lookup(t, CapAddr{u.rdi}, ObjectType::IrqControl, rights::kControl);
    if (!control) return control.status();
    if (u.rsi >= sys.gsi_limit || u.rsi >= kMaxIrqs ||
        (u.rdx & ~uint64_t{abi::kIrqLevel | abi::kIrqLow}) != 0)
        return Status::BadArgument;
    const auto to = lookup_empty(t, CapAddr{u.r10});
    if (!to) return to.status();
    if (is_revoking(**control)) return Status::Revoking;
    Irq& irq = sys.irq[u.rsi];
    if (irq.header.refs != 0 || irq.header.dying != 0) return Status::Busy;
    const uint32_t gsi = static_cast<uint32_t>(u.rsi), flags = static_cast<uint32_t>(u.rdx);
    if (!arch::irq_setup(gsi, flags)) return Status::BadArgument;
    irq = Irq{};
    irq.gsi = gsi;
    irq.flags = flags;
    object_init(irq.header, ObjectType::IrqHandler, 0, t.header.tag);
    container_list_add(irq.header);
    Slot& made = cap_create(**to, *control, ObjectType::IrqHandler, &irq.header);
    made.badge = gsi;
    return Status::Ok;
}

namespace {

Result<Irq*> lookup_irq(const Thread& t, uint64_t address) {
    const auto slot = lookup(t, CapAddr{address}, ObjectType::IrqHandler, rights::kControl);
    if (!slot) return slot.status();
    return slot->as<Irq>();
}

}  // namespace

Status sys_irq_bind(Cpu&, Thread& t, UserContext& u) {
    const auto found = lookup_irq(t, u.rdi);
    if (!found) return found.status();
    Irq& irq = **found;
    Slot* from = nullptr;
    if (u.rsi != 0) {
        const auto slot = lookup(t, CapAddr{u.rsi}, ObjectType::Notification, rights::kWrite);
        if (!slot) return slot.status();
        if (is_revoking(**slot)) return Status::Revoking;
        from = *slot;
    }
    Slot& slot = irq.slot[0];
    if (!slot.empty()) {
        if (const Status status = cap_delete(slot); status != Status::Ok) return status;
    }
    if (from == nullptr) return Status::Ok;
    slot.home = static_cast<uint32_t>(SlotHome::Irq);
    cap_derive(slot, *from, static_cast<uint8_t>(~rights::kTombstone));
    arch::irq_unmask(irq.gsi);
    return Status::Ok;
}

Status sys_irq_ack(Cpu&, Thread& t, UserContext& u) {
    const auto irq = lookup_irq(t, u.rdi);
    if (!irq) return irq.status();
    if (irq->slot[0].empty()) return Status::NotReady;
    arch::irq_unmask(irq->gsi);
    return Status::Ok;
}

namespace {

// All bytes of the access lie in the range.
Status check_port(const Thread& t, const UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::IoPort, rights::kControl);
    if (!slot) return slot.status();
    const uint64_t first = slot->object & 0xffff, count = slot->object >> 16, bytes = u.rdx;
    if ((bytes != 1 && bytes != 2 && bytes != 4) || u.rsi < first || bytes > count ||
        u.rsi - first > count - bytes)
        return Status::BadArgument;
    return Status::Ok;
}

}  // namespace

// All ways of resetting in one place, beside the panic that uses them too. The port is what says who may.
Status sys_machine_reset(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::IoPort, rights::kControl);
    if (!slot) return slot.status();
    const uint64_t first = slot->object & 0xffff, count = slot->object >> 16;
    if (first > abi::kResetControlPort || abi::kResetControlPort - first >= count) return Status::BadArgument;
    arch::reset_machine();
    return Status::Ok;
}

Status sys_port_in(Cpu&, Thread& t, UserContext& u) {
    if (const Status status = check_port(t, u); status != Status::Ok) return status;
    u.rdx = arch::port_in(static_cast<uint16_t>(u.rsi), static_cast<unsigned>(u.rdx));
    return Status::Ok;
}

Status sys_port_out(Cpu&, Thread& t, UserContext& u) {
    if (const Status status = check_port(t, u); status != Status::Ok) return status;
    arch::port_out(static_cast<uint16_t>(u.rsi), static_cast<unsigned>(u.rdx), u.r10);
    return Status::Ok;
}

}  // namespace bulkhead::core
