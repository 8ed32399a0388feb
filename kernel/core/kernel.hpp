// SPDX-License-Identifier: Apache-2.0
// What the files of kernel/core offer each other. All of it runs under the kernel lock; nothing here blocks,
// allocates or recurses. "Restart": the step made progress and an interrupt waits; the caller returns
// Status::Restart and the system call is executed again.
#pragma once

#include "abi/bootinfo.hpp"
#include "kernel/core/cpu.hpp"
#include "kernel/core/ipc.hpp"
#include "kernel/core/irq.hpp"
#include "kernel/core/notification.hpp"
#include "kernel/core/page_table.hpp"
#include "kernel/core/result.hpp"
#include "kernel/core/thread.hpp"
#include "kernel/core/tlb.hpp"
#include "kernel/core/vcpu.hpp"

namespace bulkhead::core {

using abi::CapAddr;
namespace rights = abi::rights;

// Everything that is not in an object.
struct System {
    Cpu* here;  // the CPU that holds the lock
    Cpu* cpu[abi::kMaxCpus];
    uint32_t cpus;
    uint32_t gsi_limit;
    uint64_t tsc_khz;
    uint64_t features;  // abi::CpuFeature
    uint64_t secret;    // added to page numbers that Inspect and CapIdentify show
    uint64_t last_id;
    uint64_t epoch;      // counts changes of the capability tree
    uint64_t revokes;    // revokes in progress (slots with kSlotRevoking)
    Object* containers;  // ascending id
    Object* last_container;
    uint64_t count[abi::kObjectTypes];  // objects; of types without an object: capabilities
    uint64_t bytes[abi::kObjectTypes];
    TlbCleanup tlb;  // unmapped but perhaps still cached; discharged before the kernel is left
    Irq irq[kMaxIrqs];
};
extern System sys;

// A running thread's SchedContext belongs to the CPU that runs it.
inline Cpu* Thread::running_on() const {
    if (sched == nullptr) return nullptr;
    Cpu* cpu = sys.cpu[sched->cpu];
    return cpu->current == this ? cpu : nullptr;
}

inline Thread* Reply::caller() const {
    return thread != nullptr && thread->state == ThreadState::Replying ? thread : nullptr;
}
inline Thread* Reply::receiver() const {
    return thread != nullptr && thread->state == ThreadState::Receiving ? thread : nullptr;
}

// A status that dispatch does not store: the caller is blocked, whoever wakes it writes RAX.
inline constexpr Status kBlocked = static_cast<Status>(0x100);

// ---- capability tree (tree.cpp)
bool is_revoking(const Slot& slot);  // or an ancestor, or too deep to tell
void tree_link(Slot& child, Slot* parent);
void tree_unlink(Slot& slot);  // resets an Untyped parent that lost its last child
Slot& cap_derive(Slot& to, Slot& from, uint8_t rights_mask);  // `to` is empty; becomes a child of `from`
Slot& cap_create(Slot& to, Slot* parent, ObjectType type, Object* object);
bool cap_move(Slot& to, Slot& from);  // false: too many children
void cap_clear(Slot& slot);           // forgets the content; it is in no tree any more
uint64_t opaque_page(uint64_t physical);
void object_init(Object& object, ObjectType type, uint64_t bytes, uint64_t tag);
void object_gone(Object& object, uint64_t bytes);
void container_list_add(Object& object);
void container_list_remove(Object& object);

// ---- lookup (cspace.cpp)
extern Slot no_cspace[1];                                    // what a thread without CSpace points to
Slot* find_slot(const Thread& t, CapAddr address);           // nullptr: no such slot
Result<Slot*> lookup_any(const Thread& t, CapAddr address);  // not empty
Result<Slot*> lookup_slow(const Thread& t, CapAddr address, ObjectType type, uint8_t need);

// The usual case, a usable capability, in a few comparisons; nullptr: look closer. A thread without CSpace
// has one empty slot, so there is no null pointer to look for.
inline bool is_usable(const Slot& slot, ObjectType type, uint8_t need) {
    const uint32_t mask = 0xffu | (uint32_t{need} << 8) | (uint32_t{kSlotGone} << 16),
                   wanted = static_cast<uint32_t>(type) | (uint32_t{need} << 8);
    return (slot.kind_word() & mask) == wanted;
}

// In the root CNode itself.
[[gnu::always_inline]] inline Slot* lookup_near(const Thread& t, uint64_t address, ObjectType type,
                                                uint8_t need) {
    if (address > t.cspace_mask) return nullptr;
    Slot* slot = &t.cspace[address];
    return is_usable(*slot, type, need) ? slot : nullptr;
}

[[gnu::always_inline]] inline Slot* lookup_fast(const Thread& t, uint64_t address, ObjectType type,
                                                uint8_t need) {
    if (address <= t.cspace_mask) return lookup_near(t, address, type, need);
    const uint64_t cnode = address >> 32, index = address & 0xffff'ffff;
    if (cnode == 0 || cnode > t.cspace_mask) return nullptr;
    const Slot& table = t.cspace[cnode];
    if (!is_usable(table, ObjectType::CNode, rights::kControl) || index >> table.size_bits != 0)
        return nullptr;
    Slot* slot = &table.as<CNode>()->slot[index];
    return is_usable(*slot, type, need) ? slot : nullptr;
}

inline Result<Slot*> lookup(const Thread& t, CapAddr address, ObjectType type, uint8_t need) {
    if (Slot* slot = lookup_fast(t, address.raw, type, need); slot != nullptr) return slot;
    return lookup_slow(t, address, type, need);
}
Result<Slot*> lookup_empty(const Thread& t, CapAddr address);

// ---- destruction (destroy.cpp)
Status cap_delete(Slot& slot);  // Ok or Restart
Status cap_revoke(Slot& slot);  // Ok or Restart
uint64_t object_bytes(ObjectType type, uint64_t size);
Slot* container_slots(Object& container, uint64_t* count);

// ---- mapping (page_table.cpp)
Status table_map(PageTable& root, Slot& table, uint64_t address, uint64_t* missing_level);
Status frame_map(PageTable& root, Slot& frame, uint64_t address, uint64_t flags, uint64_t* missing_level);
void frame_unmap(Slot& frame);
void table_unmap(Slot& table);
const PageTable& table_that_maps(const Slot& mapped);  // a mapped Frame or PageTable
void mapping_moved(Slot& now_here);  // the slot of a mapped Frame or PageTable has a new address
void page_table_destroy(PageTable& table);
// Physical address of a user-writable (or readable) user byte, 0: none.
uint64_t translate(PageTable& root, uint64_t address, bool write);

// ---- scheduling (sched.cpp)
uint64_t us_to_ticks(uint64_t us);
void make_ready(Thread& t);  // state becomes Ready; queues it if it can run
void run_directly(Cpu& cpu,
                  Thread& next);  // cpu.current has just blocked; next continues now, if nothing is better
void block_current(Cpu& cpu);     // cpu.current stops running; the caller has set its state
void stop_running(Thread& t);     // takes it off its CPU or its ready queue; state unchanged
void schedule(Cpu& cpu);

// `t` is not running and not queued.
inline void set_sched(Thread& t, SchedContext* sched) {
    if (t.sched == sched) return;
    if (t.sched != nullptr) {
        (t.user_previous != nullptr ? t.user_previous->user_next : t.sched->users) = t.user_next;
        if (t.user_next != nullptr) t.user_next->user_previous = t.user_previous;
        t.user_next = t.user_previous = nullptr;
    }
    t.sched = sched;
    if (sched == nullptr) return;
    t.user_next = sched->users;
    if (t.user_next != nullptr) t.user_next->user_previous = &t;
    sched->users = &t;
}

void sched_paused_changed(SchedContext& sched);
void sched_move(SchedContext& sched, uint32_t cpu, uint8_t priority);
bool sched_destroy_step(SchedContext& sched);  // true: done
void charge(Cpu& cpu, uint64_t now);
void arm_timer(Thread& t, uint64_t deadline);
inline void disarm_timer(Thread& t) {
    if (t.timed == 0) return;
    t.timed = 0;
    TimerHeap::remove(t.timer);
}
Cpu& home_cpu(const Thread& t);
void rotate(Cpu& cpu);
void poke(Cpu& cpu);  // it should schedule soon

// ---- threads (thread.cpp)
void thread_slot_cleared(Thread& t, uint32_t index);
void cancel_wait(Thread& t);                 // leaves any queue or Reply, disarms the timer; state Inactive
void finish_wait(Thread& t, Status status);  // cancel_wait, RAX = status, ready
void thread_destroy(Thread& t);              // first step: it never runs again
bool valid_user_address(uint64_t address);
void save_registers(const Thread& t, abi::ThreadRegisters& out);
bool load_registers(Thread& t, const abi::ThreadRegisters& in);
inline bool passive(const Thread& t) {
    return t.slot[static_cast<size_t>(abi::ThreadSlot::SchedContext)].empty();
}

// ---- IPC (ipc.cpp, fault.cpp)
void endpoint_remove(Endpoint& e, Thread& t);
bool endpoint_destroy_step(Endpoint& e);
void reply_destroy(Reply& r);
Status deliver_call(Cpu& cpu, Thread& from, Endpoint& e, uint64_t badge,
                    uint8_t lent_rights);  // from's message or fault; kBlocked or an error
void transfer_fault(Thread& from, Thread& to);
void fault_reply(Thread& faulter, Thread& replier);  // decides by the replier's tag
void fault_unanswered(Thread& t, const char* why);
void fault_raise(Cpu& cpu, Thread& t);

// ---- notifications (notification.cpp)
void signal(Notification& n, uint64_t badge);
void notification_remove(Notification& n, Thread& t);
bool notification_destroy_step(Notification& n);
uint64_t take_bits(Notification& n);

// ---- vCPUs (vcpu.cpp)
void vcpu_slot_cleared(Vcpu& v, uint32_t index);
void vcpu_abort(Vcpu& v, Status status);  // ends the run, if any; the thread is stopped first
void vcpu_destroy(Vcpu& v);
inline void begin_run(Thread& t, Vcpu& v) {
    v.thread = &t;
    t.guest = &v;
}
// The caller gives the thread its results.
inline void end_run(Thread& t, Vcpu& v) {
    if (t.timed != 0) [[unlikely]] {
        disarm_timer(t);
        t.guest_timeout = 0;
    }
    t.guest = nullptr;
    v.thread = nullptr;
}
bool guest_must_leave(const Thread& t);
void guest_leave(Thread& t);  // Notified or Timeout

// ---- interrupts (irq.cpp), log (log.cpp)
void irq_slot_cleared(Irq& irq);
void irq_destroy(Irq& irq);
void log_text(const char* text, size_t bytes);
struct LogLine;  // log.hpp

// ---- system calls: one handler per call; the dispatcher stores what it returns in RAX
using Handler = Status (*)(Cpu&, Thread&, UserContext&);
#define BULKHEAD_HANDLER(name) Status name(Cpu&, Thread&, UserContext&)
BULKHEAD_HANDLER(sys_yield);
BULKHEAD_HANDLER(sys_call);
BULKHEAD_HANDLER(sys_reply_recv);
BULKHEAD_HANDLER(sys_recv);
BULKHEAD_HANDLER(sys_reply);
BULKHEAD_HANDLER(sys_signal);
BULKHEAD_HANDLER(sys_wait);
BULKHEAD_HANDLER(sys_vcpu_run);
BULKHEAD_HANDLER(sys_cap_copy);
BULKHEAD_HANDLER(sys_cap_mint);
BULKHEAD_HANDLER(sys_cap_move);
BULKHEAD_HANDLER(sys_cap_delete);
BULKHEAD_HANDLER(sys_cap_revoke);
BULKHEAD_HANDLER(sys_cap_identify);
BULKHEAD_HANDLER(sys_retype);
BULKHEAD_HANDLER(sys_frame_mint);
BULKHEAD_HANDLER(sys_ioport_mint);
BULKHEAD_HANDLER(sys_untyped_info);
BULKHEAD_HANDLER(sys_table_map);
BULKHEAD_HANDLER(sys_frame_map);
BULKHEAD_HANDLER(sys_unmap);
BULKHEAD_HANDLER(sys_thread_set);
BULKHEAD_HANDLER(sys_thread_start);
BULKHEAD_HANDLER(sys_thread_suspend);
BULKHEAD_HANDLER(sys_thread_resume);
BULKHEAD_HANDLER(sys_thread_read);
BULKHEAD_HANDLER(sys_thread_upcall);
BULKHEAD_HANDLER(sys_thread_exit);
BULKHEAD_HANDLER(sys_sched_configure);
BULKHEAD_HANDLER(sys_sched_read);
BULKHEAD_HANDLER(sys_sched_pause);
BULKHEAD_HANDLER(sys_vcpu_set);
BULKHEAD_HANDLER(sys_irq_claim);
BULKHEAD_HANDLER(sys_irq_bind);
BULKHEAD_HANDLER(sys_irq_ack);
BULKHEAD_HANDLER(sys_port_in);
BULKHEAD_HANDLER(sys_port_out);
BULKHEAD_HANDLER(sys_tag_set);
BULKHEAD_HANDLER(sys_inspect_caps);
BULKHEAD_HANDLER(sys_inspect_counts);
BULKHEAD_HANDLER(sys_log_write);
BULKHEAD_HANDLER(sys_log_read);
BULKHEAD_HANDLER(sys_log_control);
BULKHEAD_HANDLER(sys_debug_counters);
BULKHEAD_HANDLER(sys_machine_reset);
#undef BULKHEAD_HANDLER

}  // namespace bulkhead::core
