// SPDX-License-Identifier: Apache-2.0
// The personality's own state: one per domain, in the blob's private writable segment. Internal to
// lib/runtime.
#pragma once

#include "abi/bootinfo.hpp"
#include "abi/start.hpp"
#include "lib/cap/syscall.hpp"
#include "lib/runtime/thread_block.hpp"

namespace bulkhead::runtime {

using abi::CapAddr;
using abi::Status;
namespace sys = cap::sys;

// Linux error numbers, as system calls return them.
enum Errno : int64_t {
    kPerm = -1,
    kNoEntry = -2,
    kAgain = -11,
    kNoMemory = -12,
    kAccess = -13,
    kFault = -14,
    kInvalid = -22,
    kNotTty = -25,
    kSeekPipe = -29,
    kNoSys = -38,
    kBadFile = -9,
    kNoDevice = -19,
    kTimedOut = -110,
    kNoProcess = -3,
};

// Sleeps by notification, never spins. At most one wake-up is under way at a time: only an owner signals, and
// the next owner is the one that took the signal.
class Lock {
  public:
    void initialise(CapAddr notification) { notification_ = notification; }
    void acquire() {
        if (__atomic_fetch_add(&users_, 1, __ATOMIC_ACQUIRE) == 0) return;
        while (!sys::wait(notification_, abi::kDeadlineNever).ok()) {
        }
    }
    void release() {
        if (__atomic_fetch_sub(&users_, 1, __ATOMIC_RELEASE) > 1) cap::drop(sys::signal(notification_));
    }

  private:
    uint32_t users_ = 0;
    CapAddr notification_;
};

class Locked {
  public:
    explicit Locked(Lock& lock) : lock_{lock} { lock_.acquire(); }
    ~Locked() { lock_.release(); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

  private:
    Lock& lock_;
};

struct State {
    const abi::StartInfo* start;
    const abi::KernelInfo* kernel;
    CapAddr fault_endpoint, exit_endpoint;  // null: none
    uint64_t fixup_start, fixup_end, fixup_landing;

    uint64_t tsc_khz, boot_tsc, ns_per_tick;  // the last scaled by 2^32
    uint64_t wall_offset;                     // CLOCK_REALTIME - CLOCK_MONOTONIC

    Lock memory_lock, futex_lock, thread_lock, output_lock;
    ThreadBlock* threads;
    uint32_t next_tid, blocks, alive;
    uint64_t program_entry;
};
extern State state;

inline ThreadBlock& current() {
    ThreadBlock* block;
    asm volatile("mov %%gs:0, %0" : "=r"(block));
    return *block;
}

// frames.cpp: slots, objects and physical memory. Called with memory_lock held, or before there are threads.
bool frames_initialise();
CapAddr allocate_slot();  // null: none left
void free_slot(CapAddr slot);
CapAddr create_object(abi::ObjectType type, uint64_t size);  // for good; null: no memory
CapAddr create_notification();                               // the same

// Memory for the personality itself, never given back: zeroed, 2^bits bytes, mapped. nullptr: none.
void* allocate_metadata(unsigned bits, CapAddr* frame = nullptr);

// space.cpp
void space_initialise();
// Maps a frame in the runtime's window, making page tables as needed.
Status map_frame(CapAddr frame, uint64_t address, uint64_t flags);

// thread.cpp
bool threads_initialise();
[[noreturn]] void end_domain(uint64_t status);

// futex.cpp
void futex_wake_address(uint64_t address, uint32_t count);

// clock.cpp
void clock_initialise();
struct Timespec {
    int64_t seconds, nanoseconds;
};
uint64_t monotonic_ns();
uint64_t deadline_of(uint64_t monotonic_ns);  // absolute; saturates

// output.cpp
void flush_output();
void log_text(const char* text);

inline void zero_words(void* at, uint64_t bytes) {
    uint64_t words = bytes / 8;
    asm volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(0ull) : "memory");
}

}  // namespace bulkhead::runtime
