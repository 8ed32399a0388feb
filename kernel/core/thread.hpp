// SPDX-License-Identifier: Apache-2.0
// A thread: user registers, the slots that give it address space and authority, its place in queues.
// The kernel keeps no stack for it: a blocked thread is its registers and a state; whoever wakes it writes
// the results into them.
#pragma once

#include "abi/syscall.hpp"
#include "kernel/core/arch.hpp"
#include "kernel/core/object.hpp"
#include "kernel/core/sched.hpp"
#include "kernel/core/timer.hpp"

namespace bulkhead::core {

struct Endpoint;
struct Reply;
struct Notification;
struct PageTable;
struct Vcpu;

enum class ThreadState : uint8_t {
    Inactive = 0,   // never started, suspended, or ended
    Ready = 1,      // in its SchedContext's FIFO (running ones too)
    Calling = 2,    // in an Endpoint's queue, message not yet taken
    Receiving = 3,  // in an Endpoint's queue
    Replying = 4,   // parked in a Reply: waits for the answer
    Waiting = 5,    // in a Notification's queue
};

struct alignas(64) Thread {
    UserContext user;  // offset 0: entry and exit code know it

    // What arch's exit path needs when it switches to this thread.
    PageTable* root;        // VSpace, nullptr: none (then the thread is never ready)
    Vcpu* guest;            // not nullptr: the thread is in vcpu_run: enter this guest instead of user mode
    uint64_t arch_word[2];  // arch's business; zero in a new thread

    // IPC
    alignas(64) Object header;  // slots name the thread by the address of this
    ThreadState state;
    uint8_t has_root;        // root != nullptr
    uint8_t in_fault;        // the message it sends or waits for is a fault
    uint8_t timed;           // `timer` may be armed
    uint8_t suspended;       // by ThreadSuspend: not made ready by any event; then it waits for nothing
    uint8_t lent_rights;     // Calling, Replying: of the endpoint capability that it called by
    uint8_t ready_linked;    // is in its SchedContext's FIFO
    uint8_t guest_timeout;   // vcpu_run's deadline passed
    uint8_t ended;           // ThreadExit
    SchedContext* sched;     // own (slot) or donated; nullptr: passive and not serving
    Slot* cspace;            // slots of the root CNode; no_cspace: none
    uint64_t cspace_mask;    // slots - 1
    abi::IpcBuffer* buffer;  // kernel's view of the IPC buffer, nullptr: none
    void* queue;             // Endpoint or Notification it is queued in
    Thread* next;            // in that queue
    Thread* previous;
    Reply* reply;         // Receiving: given with receive; Replying: parked in; else: meaningless
    uint64_t badge;       // Calling: badge of the capability it called by
    Notification* bound;  // bound notification, mirrors its slot

    Thread* ready_next;  // in its SchedContext's FIFO
    Thread* ready_previous;
    Thread* user_next;  // in SchedContext::users
    Thread* user_previous;
    Timer timer;  // deadline of the blocking call; arm_timer, disarm_timer

    uint64_t upcall, fixup_start, fixup_end, fixup_landing;

    uint64_t progress;  // of a call that is being restarted: items done
    alignas(64) Slot tomb;
    Slot slot[abi::kThreadSlots];

    // Behind it: the floating-point area, arch::fpu_bytes() long.
    void* fpu() { return this + 1; }
    Cpu* running_on() const;  // whose current it is; nullptr: not running (kernel.hpp)
    // It waits like this, without a deadline, has an address space, and this is not about a fault: one load
    // for all.
    bool waits_plainly(ThreadState how) const {
        uint32_t word;
        __builtin_memcpy(&word, &state, sizeof word);
        return word == (static_cast<uint32_t>(how) | 0x100);
    }
    // The same, for the answer to a fault.
    bool waits_in_fault() const {
        uint32_t word;
        __builtin_memcpy(&word, &state, sizeof word);
        return word == (static_cast<uint32_t>(ThreadState::Replying) | 0x1'0100);
    }
    static Thread* from(Object* object) {
        return reinterpret_cast<Thread*>(reinterpret_cast<char*>(object) - offsetof_header());
    }
    static constexpr size_t offsetof_header();
};
constexpr size_t Thread::offsetof_header() {
    return __builtin_offsetof(Thread, header);
}
static_assert(__builtin_offsetof(Thread, user) == 0 && sizeof(Thread) % 64 == 0);
static_assert(__builtin_offsetof(Thread, has_root) == __builtin_offsetof(Thread, state) + 1 &&
              __builtin_offsetof(Thread, in_fault) == __builtin_offsetof(Thread, state) + 2 &&
              __builtin_offsetof(Thread, timed) == __builtin_offsetof(Thread, state) + 3);

}  // namespace bulkhead::core
