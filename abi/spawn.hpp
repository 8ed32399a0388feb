// SPDX-License-Identifier: Apache-2.0
// How dom0 asks the supervisor for domains: IPC on the endpoint "spawn". All numbers are checked; dom0 is not
// trusted.
//
// A spawned domain lives in chunks of memory that dom0 hands over: for each chunk dom0 keeps the parent
// Untyped and sends a child of the full size. The supervisor revokes each child first, so that nobody else
// holds anything in it, builds the domain from them and gives it the rest. dom0 destroys by revoking the
// parents, then says Forget.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::abi {

// Labels on the "spawn" endpoint. Replies carry the same label, w0 = Status (0: Ok), further words as noted.
enum class SpawnCall : uint64_t {
    Begin = 0x5001,   // words: SpawnRequest. -> w1 handle. One spawn is under construction at a time; a new
                      // Begin abandons it
    Memory = 0x5002,  // w0 handle; caps: 1..4 Untypeds, moved. The first one of all becomes the domain's own
                      // objects (>= 4 MiB)
    Finish = 0x5003,  // w0 handle. Builds and starts
    Sched = 0x5004,   // w0 domain tag, w1 first. -> w1 count, up to 4 SchedContext capabilities (main first,
                      // then one per vCPU)
    Forget = 0x5005,  // w0 domain tag: dom0 has destroyed it (or is about to): drop what the supervisor keeps
                      // of it
    Restart = 0x5006,    // name in words 1.. (NUL-padded): restart a service of the manifest
    Domains = 0x5007,    // w0 index -> w1 tag, w2 DomainState | incarnation << 8 | template << 32, w3 memory
                         // KiB, w4.. name; Status::NoCapability past the end
    Configure = 0x5008,  // w0 domain tag, w1 context index, w2 cpu | priority << 8 | weight << 16, w3 packed
                         // budget: SchedConfigure on its behalf, within the template's limits
    Kill = 0x500a,     // w0 milliseconds from now, at most kMaxKillDelayMs; name as of Restart: that domain,
                       // spawned ones too, ends as if it had crashed. A second Kill replaces the first
    Control = 0x5009,  // w0 domain tag. -> cap 0: connect endpoint of the domain's control channel (kWrite |
                       // kGrant)
};
inline constexpr uint64_t kMaxKillDelayMs = 60'000;
inline constexpr uint64_t kExitLabel = 0xe0;  // on the "exit" endpoint of every domain: w0 exit code

enum class DomainState : uint8_t { Starting = 0, Running = 1, Restarting = 2, Failed = 3, Dead = 4 };

struct SpawnRequest {
    char template_name[16];
    char name[32];
    uint64_t tag;  // domain id as dom0 counts them; unique among the living
    uint32_t vcpus, weight;
    uint64_t kernel_offset,
        kernel_size;  // ranges of the bootfs, mapped read-only into the domain as "kernel" and "ramdisk"
    uint64_t ramdisk_offset, ramdisk_size;  // size 0: none
    uint8_t vcpu_cpu[16];                   // physical CPU of each vCPU
};
static_assert(sizeof(SpawnRequest) <= 64 * 8);

}  // namespace bulkhead::abi
