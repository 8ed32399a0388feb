// SPDX-License-Identifier: Apache-2.0
// How this machine is reset; learned at boot, used once. Runs without any lock, with all other CPUs stopped.
#pragma once

#include "kernel/arch/x86_64/reset_plan.hpp"

namespace bulkhead::arch {

extern ResetPlan reset_plan;

[[noreturn]] void reset_after_ms(uint64_t ms);

}  // namespace bulkhead::arch
