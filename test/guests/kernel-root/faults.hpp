// SPDX-License-Identifier: Apache-2.0
// Faults that a handler beside answers: what arrives, and that nothing else of the thread changes.
#pragma once

#include "test/guests/kernel-root/resources.hpp"

namespace bulkhead::kernel_root {
void faults(Resources&);
}  // namespace bulkhead::kernel_root
