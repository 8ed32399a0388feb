// SPDX-License-Identifier: Apache-2.0
// What only two CPUs can show: stops, shoot-downs and kicks that cross.
#pragma once

#include "test/guests/kernel-root/guest.hpp"

namespace bulkhead::kernel_root {
void cross_cpu(Resources&, bool guests);
}  // namespace bulkhead::kernel_root
