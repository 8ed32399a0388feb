// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

namespace bulkhead::arch {
struct CpuLocal;
void handle_interrupt_locked(CpuLocal&, uint8_t vector);  // lock held; acknowledges and calls core
}  // namespace bulkhead::arch
