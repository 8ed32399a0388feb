// SPDX-License-Identifier: Apache-2.0
// How long is the instruction that caused this exit? CPUs without NRIPS do not say. The exit reason fixes the
// opcode, so only prefixes vary: fetch the bytes by a walk of the guest's page tables, once per (RIP, CR3),
// and on later exits only compare that the same bytes are still there.
//
// One per vCPU, used by its thread. A stale entry (the guest remapped the page) can only mislead the guest
// that did it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "abi/vcpu.hpp"
#include "services/vmm-stubdom/decoder/instruction.hpp"
#include "services/vmm-stubdom/memory/page_walker.hpp"

namespace bulkhead::vmm {

class InstructionCache {
  public:
    explicit InstructionCache(const GuestMemory& memory) : memory_{memory} {}

    // Length of the instruction at `linear`, or 0: the bytes cannot be fetched or are not what the exit says.
    unsigned length(const abi::VcpuState& state, uint64_t linear) {
        const Entry& e = entries_[slot(linear)];
        if (e.linear == linear && e.cr3 == state.cr3 && e.reason == state.reason &&
            (load(e.host) & e.mask) == e.value) [[likely]]
            return e.length;
        return look(state, linear);
    }
    // A decoded device access at `linear`, while its bytes are still there; 64-bit kernel code only. nullptr:
    // decode it, then keep it.
    const Instruction* find_access(const abi::VcpuState& state, uint64_t linear) const {
        const AccessEntry& e = accesses_[slot(linear)];
        return e.linear == linear && e.cr3 == state.cr3 && (load(e.host) & e.mask[0]) == e.value[0] &&
                       (load(e.host + 8) & e.mask[1]) == e.value[1]
                   ? &e.instruction
                   : nullptr;
    }
    void keep_access(const abi::VcpuState& state, uint64_t linear, const uint8_t* bytes,
                     const Instruction& instruction);
    // Raw bytes at the instruction, for decoding and for messages; fewer than 15 at the end of what is
    // mapped.
    unsigned fetch(const abi::VcpuState& state, uint64_t linear, uint8_t (&bytes)[15]) const;

  private:
    static constexpr unsigned kEntries = 32;
    struct Entry {
        uint64_t linear = ~uint64_t{0}, cr3 = 0;
        const std::byte* host = nullptr;
        uint64_t mask = 0, value = 0;
        abi::ExitReason reason = abi::ExitReason::None;
        uint8_t length = 0;
    };
    struct AccessEntry {
        uint64_t linear = ~uint64_t{0}, cr3 = 0;
        const std::byte* host = nullptr;  // sixteen readable bytes
        uint64_t mask[2] = {}, value[2] = {};
        Instruction instruction;
    };
    static unsigned slot(uint64_t linear) { return static_cast<unsigned>(linear ^ (linear >> 6)) % kEntries; }
    // Where the `bytes` at `linear` lie; nullptr if they cross a page or are not mapped.
    const std::byte* locate(const abi::VcpuState& state, uint64_t linear, unsigned bytes) const;
    static uint64_t load(const std::byte* at) {
        uint64_t value;
        std::memcpy(&value, at, sizeof value);
        return value;
    }
    unsigned look(const abi::VcpuState& state, uint64_t linear);
    static unsigned measure(abi::ExitReason reason, const uint8_t* bytes, unsigned count);

    const GuestMemory& memory_;
    std::array<Entry, kEntries> entries_{};
    std::array<AccessEntry, kEntries> accesses_{};
};

}  // namespace bulkhead::vmm
