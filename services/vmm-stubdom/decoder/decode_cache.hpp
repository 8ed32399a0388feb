// SPDX-License-Identifier: Apache-2.0
// Remembers decoded instructions by RIP and CR3. A hit is believed only if the instruction's bytes, fetched
// again, are the same: a guest that rewrites its code gets the new instruction. One per vCPU thread; not
// thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "services/vmm-stubdom/decoder/decoder.hpp"

namespace bulkhead::vmm {

class DecodeCache {
  public:
    [[nodiscard]] std::optional<Instruction> decode(std::uint64_t rip, std::uint64_t cr3, CpuMode mode,
                                                    std::span<const std::byte> bytes) {
        Entry& entry = entries_[slot(rip, cr3)];
        const std::size_t length = entry.instruction.length;
        if (length != 0 && entry.rip == rip && entry.cr3 == cr3 && entry.mode == mode &&
            length <= bytes.size() && std::memcmp(entry.bytes.data(), bytes.data(), length) == 0) {
            return entry.instruction;
        }
        const auto fresh = vmm::decode(bytes, mode);
        if (fresh) {
            entry = {rip, cr3, mode, {}, *fresh};
            std::copy_n(bytes.begin(), fresh->length, entry.bytes.begin());
        }
        return fresh;
    }

  private:
    static constexpr std::size_t kEntries = 64;

    struct Entry {
        std::uint64_t rip = 0;
        std::uint64_t cr3 = 0;
        CpuMode mode = CpuMode::Bits64;
        std::array<std::byte, kMaxInstructionBytes> bytes{};
        Instruction instruction;
    };
    static std::size_t slot(std::uint64_t rip, std::uint64_t cr3) {
        return ((rip ^ (rip >> 6) ^ (cr3 >> 12)) * 0x9e37'79b9'7f4a'7c15 >> 58) % kEntries;
    }

    std::array<Entry, kEntries> entries_{};
};

}  // namespace bulkhead::vmm
