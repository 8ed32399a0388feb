// SPDX-License-Identifier: Apache-2.0
// One interrupt source of the machine. The objects are static; one comes to life when IrqControl claims its
// interrupt and goes when the last IrqHandler capability is deleted. Its slot holds the bound notification.
#pragma once

#include "kernel/core/object.hpp"

namespace bulkhead::core {

inline constexpr uint32_t kMaxIrqs = 256;

struct Irq {
    Object header;
    Slot tomb;
    Slot slot[1];
    uint32_t gsi;
    uint32_t flags;  // abi::IrqFlags
    uint64_t unused[7];
};
static_assert(sizeof(Irq) == 256);

}  // namespace bulkhead::core
