// SPDX-License-Identifier: Apache-2.0
// For root tasks that stand in for the supervisor in benchmarks and attacks: the machine's memory, and small
// domains built by raw calls. A Side is a thread in an address space and a CSpace of its own that runs one
// routine of the section "side_code". All of it is made from one Untyped: the end of the Side revokes that,
// and nothing of it is left. Not thread-safe.
#pragma once

#include <string>

#include "lib/cap/environment.hpp"

namespace bulkhead::stage {

using cap::CapAddr;
using cap::Status;

inline constexpr CapAddr kSchedControl{0, abi::root::kSchedControl}, kTagControl{0, abi::root::kTagControl},
    kInspect{0, abi::root::kInspect};
inline constexpr unsigned kTopPriority = 63;  // the root task's own

// Says why, and stops for good.
[[noreturn]] void fail(const std::string& why);
void require(Status status, const char* what);
void require(const cap::Result& result, const char* what);

struct Machine {
    cap::Environment& env;
    const abi::RootInfo& root;
    // The number behind `key=` on the kernel's command line, or `otherwise`.
    uint64_t option(const char* key, uint64_t otherwise) const;
};
// Takes over what the kernel gave to the root task.
Machine& machine();

extern "C" {
void side_echo();
void side_pong();
void side_skip();
}

struct SideOptions {
    bool own_space = true;  // false: in the root task's address space and CSpace
    uint64_t tag = 100;
    unsigned priority = kTopPriority;
    unsigned cpu = 0;
    unsigned memory_bits = 21;  // of the Untyped that it is made from
};

class Side {
  public:
    // Where things lie in its address space.
    static constexpr uint64_t kCode = 0x10'0000'0000, kStack = 0x10'1000'0000, kBuffer = 0x10'1001'0000,
                              kShared = 0x10'1002'0000;
    static constexpr unsigned kCNodeBits = 8;

    explicit Side(const SideOptions& options);
    ~Side();
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;

    // One more object of the Side's memory; its capability is in the builder's hands (in the workshop).
    CapAddr make(abi::ObjectType type, uint64_t size = 0);
    // A copy of `source` in the Side's own CSpace, in `slot` there. Returns the address as the Side knows it
    // (in the shared CSpace: `source` itself).
    CapAddr give(uint32_t slot, CapAddr source, uint8_t rights = abi::rights::kAll, uint64_t badge = 0);
    // Moves what lies at `made` into `slot` of its own CSpace: for what cannot be copied, or what only it
    // shall have.
    void hand(uint32_t slot, CapAddr made);
    // An empty slot of the builder's, for a capability that goes with the Side.
    CapAddr slot();
    // A new page, mapped at `address` there and writable here; returns where here.
    void* page(uint64_t address, uint64_t flags, CapAddr* frame = nullptr);
    // Starts `routine` with the two arguments.
    template <typename Routine>
    void start(Routine* routine, uint64_t a, uint64_t b) {
        start_at(address_there(routine), a, b);
    }
    // Takes its SchedContext away: from now on it runs on its callers' time.
    void make_passive();

    // Where it finds a routine of side_code.
    template <typename Routine>
    uint64_t address_there(Routine* routine) const {
        return code_there(reinterpret_cast<uint64_t>(routine));
    }
    void* stack_top() const { return stack_ + abi::kPageSize - 64; }  // 64 bytes for arguments
    uint64_t stack_top_there() const {
        return (options_.own_space ? kStack : reinterpret_cast<uint64_t>(stack_)) + abi::kPageSize - 64;
    }
    uint64_t buffer_there() const {
        return options_.own_space ? kBuffer : reinterpret_cast<uint64_t>(buffer_);
    }
    abi::IpcBuffer& buffer() { return *buffer_; }
    CapAddr thread() const { return thread_; }
    CapAddr cnode() const { return cnode_; }
    CapAddr vspace() const { return vspace_; }
    CapAddr sched() const { return sched_; }

  private:
    uint64_t code_there(uint64_t here) const;
    void start_at(uint64_t rip, uint64_t a, uint64_t b);
    void map(CapAddr frame, uint64_t address, uint64_t flags);
    void copy_code();

    SideOptions options_;
    cap::Cap<cap::CNode> workshop_;  // root slot of the CNode in which all its capabilities lie
    cap::Cap<cap::Untyped> memory_;
    uint32_t next_slot_ = 1;
    CapAddr cnode_, vspace_, thread_, sched_;
    std::byte* stack_ = nullptr;
    abi::IpcBuffer* buffer_ = nullptr;
    std::vector<cap::Mapping> here_;  // before workshop_ and memory_ end
};

// A copy in the root CNode, where programs keep what they use often (the Sides' workshops are a level
// further).
template <typename T>
cap::Cap<T> near(CapAddr source, uint8_t rights = abi::rights::kAll) {
    auto copy = machine().env.cspace.copy<T>(source, rights);
    if (!copy) fail("copying a capability");
    return std::move(*copy);
}

}  // namespace bulkhead::stage
