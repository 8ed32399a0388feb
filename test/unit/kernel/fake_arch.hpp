// SPDX-License-Identifier: Apache-2.0
// A machine for kernel/core on the host: memory, CPUs with TLBs that cache translations until they are
// flushed, a clock that stands still unless told, interrupts that "arrive" when a test wants a long operation
// to be preempted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel/core/kernel.hpp"

namespace bulkhead::fake {

inline constexpr uint64_t kMemory = 512 << 20;  // of which BootInfo offers what is above 1 MiB
// Devices that BootInfo names; the last one lies in memory.
inline constexpr uint64_t kScreenBase = 0xe000'1000, kScreenBytes = 0x1d'5000, kHpet = 0xfed0'0000,
                          kBadRcba = 0x1000'0000;

struct Translation {
    uint64_t physical;
    bool write, execute;
    friend bool operator==(const Translation&, const Translation&) = default;
};

struct State {
    char* memory = nullptr;
    uint64_t bytes = kMemory;
    uint64_t clock = 1'000'000;
    uint64_t preempt_every = 0;  // every n-th question is answered "yes"; 0: never
    uint64_t preempt_count = 0;
    uint64_t timer[4] = {};
    unsigned resched[4] = {};
    unsigned stops = 0, shootdowns = 0;
    uint64_t gsi_masked = 0, gsi_used = 0;
    unsigned resets = 0;
    std::map<std::pair<core::PageTable*, uint64_t>, Translation> tlb[4];  // by page
    std::string uart;
    std::vector<std::pair<uint16_t, uint64_t>> ports;
    abi::Status vcpu_status = abi::Status::Ok;
    unsigned leaves = 0;
};
extern State state;

// As the CPU does it: the TLB first, then the tables; what is found is cached. Nothing: a page fault.
std::optional<Translation> access(unsigned cpu, core::PageTable& root, uint64_t address);
std::optional<Translation> walk(core::PageTable& root, uint64_t address);
// Every cached translation is what the tables say now: anything else could still be used after an unmap.
bool tlbs_are_fresh();

// What the kernel hands to the root task when it boots with this BootInfo, in a memory of so many bytes.
struct HandedOut {
    uint64_t base;
    unsigned size_bits;
    bool device;
    unsigned module;  // 1 + index, 0: none
};
std::vector<HandedOut> hand_out(const abi::BootInfo& info, uint64_t bytes);

// A booted kernel with its root thread running on CPU 0.
class Machine {
  public:
    explicit Machine(unsigned cpus = 2);
    Machine(const Machine&) = delete;

    core::Cpu cpu[4];
    core::Thread& root() { return *root_; }
    core::Slot& slot(uint64_t address) { return *core::find_slot(*root_, abi::CapAddr{address}); }

    // The result of a call: status and results.
    struct Outcome {
        abi::Status status;
        uint64_t r0, r1, r2, r3;
        unsigned restarts;
    };
    // `t` must be running. Restarted calls are made again, as the CPU would.
    Outcome call(core::Thread& t, abi::Call number, uint64_t a0 = 0, uint64_t a1 = 0, uint64_t a2 = 0,
                 uint64_t a3 = 0, uint64_t a4 = 0, uint64_t a5 = 0, uint64_t r12 = 0,
                 uint64_t r13 = abi::kDeadlineNever);
    // The same by the root thread.
    Outcome call(abi::Call number, uint64_t a0 = 0, uint64_t a1 = 0, uint64_t a2 = 0, uint64_t a3 = 0,
                 uint64_t a4 = 0, uint64_t a5 = 0) {
        return call(*root_, number, a0, a1, a2, a3, a4, a5);
    }

    uint64_t free_slot() { return next_slot_++; }
    // Makes one object from the big Untyped; returns its address.
    uint64_t make(abi::ObjectType type, uint64_t size = 0);
    uint64_t big_untyped() const { return big_untyped_; }
    // A thread in the root's CSpace and VSpace, with its own IPC buffer, SchedContext and priority; not
    // started.
    core::Thread& make_thread(unsigned cpu, unsigned priority, bool passive = false);
    uint64_t cap_of(const core::Thread& t) const { return caps_.at(&t); }
    uint64_t sched_of(const core::Thread& t) const { return scheds_.at(&t); }
    void start(core::Thread& t);
    // Lets `cpu` choose.
    core::Thread* resched(unsigned id);
    core::Thread* advance(unsigned id, uint64_t ticks);  // time passes on that CPU, its timer fires if due

  private:
    core::Thread* root_ = nullptr;
    uint64_t next_slot_ = 0, big_untyped_ = 0;
    std::map<const core::Thread*, uint64_t> caps_, scheds_;
};

}  // namespace bulkhead::fake
