// SPDX-License-Identifier: Apache-2.0
// Decodes the instructions that can make a guest exit, with any legal prefixes; everything else is refused.
//
// The bytes are the guest's, and it may change them at any time: give a private copy. A pure function of
// table lookups: no allocation, no state, at most fifteen bytes looked at.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "services/vmm-stubdom/decoder/instruction.hpp"

namespace bulkhead::vmm {

inline constexpr std::size_t kMaxInstructionBytes = 15;

// None for an instruction that is not supported, not legal, or longer than `bytes`.
[[nodiscard]] std::optional<Instruction> decode(std::span<const std::byte> bytes, CpuMode mode);

}  // namespace bulkhead::vmm
