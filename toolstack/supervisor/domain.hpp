// SPDX-License-Identifier: Apache-2.0
// What the supervisor knows of one stub domain, and the memory that it lives in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "abi/spawn.hpp"
#include "lib/cap/environment.hpp"
#include "toolstack/supervisor/manifest.hpp"

namespace bulkhead::supervisor {

inline constexpr unsigned kStackBits = 18;  // of the main thread's stack, which ends at abi::kStackTop
inline constexpr uint64_t kStackBytes = uint64_t{1} << kStackBits;

// Badges on the supervisor's mailbox: who calls.
inline constexpr uint64_t kFromDomain = uint64_t{1} << 32;  // | index of the record: a fault or an exit
// A fault brings all registers, for the crash report.
inline constexpr uint8_t kFaultRights = abi::rights::kWrite | abi::rights::kDerive | abi::rights::kControl;
inline constexpr uint64_t kFromSpawner = uint64_t{2} << 32;  // the holder of "spawn"

// Memory that outlives the domain's instances ("keep" in the manifest).
struct Kept {
    std::string name;
    uint64_t bytes = 0;
    std::vector<cap::Cap<cap::Frame>> frames;  // largest first, natural alignment in sequence
};

struct Domain {
    const DomainSpec* spec = nullptr;
    std::string name;
    uint64_t tag = 0;
    abi::DomainState state = abi::DomainState::Starting;
    uint32_t incarnation = 0;
    uint64_t memory_bytes = 0;

    // A service's memory is ours; a spawned domain's came from dom0, which keeps the parents.
    cap::Cap<cap::Untyped> own_memory;
    std::vector<cap::CapAddr> chunks;  // slots of ours; chunks[0] holds the domain's objects

    uint32_t keeper_slot = 0, cspace_slot = 0, runtime_slot = 0;  // root slots of ours, free when 0
    cap::CapAddr thread;                                          // in the keeper
    cap::CapAddr stack;                  // in the keeper: the one Frame that is the main thread's stack
    uint64_t image_span = 0;             // bytes from kImageBase on
    std::vector<cap::CapAddr> contexts;  // in the keeper: main first, then one per vCPU
    cap::CapAddr control,
        control_client;  // its control endpoint and what dom0 may have of it, in the keeper; null: none
    std::vector<Kept> kept;

    // How often it died lately, for the back-off.
    uint32_t deaths = 0;
    uint64_t last_death_tsc = 0, restart_at_tsc = 0;
    uint64_t kill_at_tsc = abi::kDeadlineNever;  // as asked; while it runs
};

}  // namespace bulkhead::supervisor
