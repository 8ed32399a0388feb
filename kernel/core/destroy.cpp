// SPDX-License-Identifier: Apache-2.0
// Delete, revoke, and the destruction of objects whose last capability goes.
//
// Deleting the last capability of a container (CNode, Thread, Vcpu, Irq) deletes the slots in it, which may
// hold the last capabilities of further containers, and so on, in cycles too. There is no recursion: a slot
// whose object is being destroyed stays in the tree as a *zombie* (so the memory stays taken); the last
// capability of a nested container moves into the `tomb` slot of the container itself, and that container
// joins the `pending` list of the one whose destruction found it. Every state between two steps is
// consistent: whoever deletes or revokes a zombie or a tomb later continues the work.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

bool is_container(ObjectType type) {
    return type == ObjectType::CNode || type == ObjectType::Thread || type == ObjectType::Vcpu ||
           type == ObjectType::IrqHandler;
}

Slot& tomb_of(Object& container) {
    switch (container.type) {
        case ObjectType::Thread: return Thread::from(&container)->tomb;
        case ObjectType::Vcpu: return reinterpret_cast<Vcpu&>(container).tomb;
        case ObjectType::IrqHandler: return reinterpret_cast<Irq&>(container).tomb;
        default: return reinterpret_cast<CNode&>(container).tomb;
    }
}

uint64_t bytes_of(const Object& object) {
    switch (object.type) {
        case ObjectType::CNode: return object_bytes(object.type, object.size_bits);
        case ObjectType::IrqHandler: return 0;
        default: return object_bytes(object.type, 0);
    }
}

void pending_add(Object& owner, Object& object) {
    object.next = owner.pending;
    if (object.next != nullptr) object.next->previous = &object;
    object.previous = &owner;
    owner.pending = &object;
}

// `previous` is the owner of the list for its first member, the neighbour for all others.
void pending_remove(Object& object) {
    if (object.previous == nullptr) return;
    (object.previous->pending == &object ? object.previous->pending : object.previous->next) = object.next;
    if (object.next != nullptr) object.next->previous = object.previous;
    object.next = object.previous = nullptr;
}

// The first child goes to the grandparent. An Untyped that loses its last child this way keeps its watermark:
// it is doomed.
void reparent_first(Slot& slot) {
    Slot& child = *slot.first_child;
    slot.first_child = child.next;
    if (child.next != nullptr) child.next->previous = nullptr;
    tree_link(child, slot.parent);
}

void slot_cleared(Slot& slot) {
    switch (slot.home_kind()) {
        case SlotHome::Thread: thread_slot_cleared(*Thread::from(container_of(slot)), slot.index()); break;
        case SlotHome::Vcpu:
            vcpu_slot_cleared(reinterpret_cast<Vcpu&>(*container_of(slot)), slot.index());
            break;
        case SlotHome::Irq: irq_slot_cleared(reinterpret_cast<Irq&>(*container_of(slot))); break;
        default: break;
    }
}

// What must happen at once when nobody can name an object any more.
void begin_destruction(Object& object) {
    object.dying = 1;
    object.cursor = 0;
    if (is_container(object.type)) container_list_remove(object);
    switch (object.type) {
        case ObjectType::Thread: thread_destroy(*Thread::from(&object)); break;
        case ObjectType::Vcpu: vcpu_destroy(reinterpret_cast<Vcpu&>(object)); break;
        case ObjectType::IrqHandler: irq_destroy(reinterpret_cast<Irq&>(object)); break;
        default: break;
    }
}

// Ends what the slot stands for. True: it was the last one, and is a zombie now. False: the slot is empty.
bool release(Slot& slot) {
    slot_cleared(slot);
    if ((slot.flags & kSlotRevoking) != 0) --sys.revokes;
    if (slot.type == ObjectType::Frame && slot.mapping != 0) frame_unmap(slot);
    if (slot.type == ObjectType::PageTable && slot.mapping != 0) table_unmap(slot);
    Object* object = object_of(slot);
    if (slot.type == ObjectType::Notification && (slot.rights & rights::kTombstone) != 0)
        signal(*slot.as<Notification>(), slot.badge);
    if (object != nullptr && --object->refs == 0) {
        slot.flags = kSlotZombie;
        slot.rights = 0;
        begin_destruction(*object);
        return true;
    }
    if (object == nullptr) --sys.count[static_cast<size_t>(slot.type)];
    tree_unlink(slot);
    cap_clear(slot);
    return false;
}

void finish(Slot& zombie) {
    Object* object = object_of(zombie);
    object_gone(*object, bytes_of(*object));
    object->dying = 0;  // of an Irq, which is static and may be claimed again
    tree_unlink(zombie);
    cap_clear(zombie);
}

// One step of destroying an object without slots; true: done, the slot is empty.
bool leaf_step(Slot& zombie) {
    bool done = true;
    switch (zombie.type) {
        case ObjectType::Endpoint: done = endpoint_destroy_step(*zombie.as<Endpoint>()); break;
        case ObjectType::Notification: done = notification_destroy_step(*zombie.as<Notification>()); break;
        case ObjectType::SchedContext: done = sched_destroy_step(*zombie.as<SchedContext>()); break;
        case ObjectType::Reply: reply_destroy(*zombie.as<Reply>()); break;
        case ObjectType::PageTable: page_table_destroy(*zombie.as<PageTable>()); break;
        default: break;
    }
    if (done) finish(zombie);
    return done;
}

// One slot inside a dying container: one step towards its being empty. `zombie` holds the container that is
// destroyed on top.
void drain_step(Slot& slot, Slot*& zombie) {
    if ((slot.flags & kSlotZombie) == 0) {
        slot.flags |= kSlotDoomed;
        if (slot.first_child != nullptr) {
            reparent_first(slot);
        } else {
            (void)release(slot);
        }
        return;
    }
    if (!is_container(slot.type)) {
        (void)leaf_step(slot);
        return;
    }
    Object* nested = object_of(slot);
    Object* top = object_of(*zombie);
    Slot& tomb = tomb_of(*nested);
    tomb.home = static_cast<uint32_t>(SlotHome::Tomb);
    (void)cap_move(tomb, slot);  // a zombie has no children
    if (nested == top) {
        zombie = &tomb;  // the capability that is being deleted lay in what it names
    } else {
        pending_remove(*nested);
        pending_add(*top, *nested);
    }
}

Status destroy_container(Slot* zombie) {
    Object* top = object_of(*zombie);
    pending_remove(*top);
    for (;;) {
        Object* work = top;
        while (work->pending != nullptr) work = work->pending;
        uint64_t count = 0;
        Slot* slots = container_slots(*work, &count);
        while (work->cursor < count && slots[work->cursor].empty()) {
            if ((++work->cursor & 63) == 0 && arch::preemption_pending()) return Status::Restart;
        }
        if (work->cursor < count) {
            drain_step(slots[work->cursor], zombie);
        } else if (work == top) {
            finish(*zombie);
            return Status::Ok;
        } else {
            pending_remove(*work);
            finish(tomb_of(*work));
        }
        if (arch::preemption_pending()) return Status::Restart;
    }
}

}  // namespace

Slot* container_slots(Object& container, uint64_t* count) {
    switch (container.type) {
        case ObjectType::Thread: *count = abi::kThreadSlots; return Thread::from(&container)->slot;
        case ObjectType::Vcpu: *count = abi::kVcpuSlots; return reinterpret_cast<Vcpu&>(container).slot;
        case ObjectType::IrqHandler: *count = 1; return reinterpret_cast<Irq&>(container).slot;
        default: *count = uint64_t{1} << container.size_bits; return reinterpret_cast<CNode&>(container).slot;
    }
}

Status cap_delete(Slot& slot) {
    if ((slot.flags & kSlotZombie) == 0) {
        slot.flags |= kSlotDoomed;
        while (slot.first_child != nullptr) {
            reparent_first(slot);
            if (arch::preemption_pending()) return Status::Restart;
        }
        if (!release(slot)) return Status::Ok;
    }
    if (is_container(slot.type)) return destroy_container(&slot);
    while (!leaf_step(slot)) {
        if (arch::preemption_pending()) return Status::Restart;
    }
    return Status::Ok;
}

// Deleting a child hands its children to `slot`, where the loop finds them: every descendant is visited twice
// at most.
Status cap_revoke(Slot& slot) {
    if ((slot.flags & kSlotRevoking) == 0) {
        slot.flags |= kSlotRevoking;
        ++sys.revokes;
    }
    while (slot.first_child != nullptr) {
        const Status status = cap_delete(*slot.first_child);
        // The slot may have been among what was destroyed (an Untyped kept in a CNode of its own memory).
        if ((slot.flags & kSlotRevoking) == 0 || slot.empty()) return Status::Ok;
        if (status == Status::Restart || arch::preemption_pending()) return Status::Restart;
    }
    slot.flags &= static_cast<uint8_t>(~kSlotRevoking);
    --sys.revokes;
    return Status::Ok;
}

}  // namespace bulkhead::core
