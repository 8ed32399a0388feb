// SPDX-License-Identifier: Apache-2.0
// A VMM without dom0: starts the kernel and ramdisk that lie in "kernel" and "ramdisk", or in the boot file
// system under these names, with as many vCPUs and as much memory as "guest.cfg" there says, and prints the
// console into the kernel's log, line by line.
#pragma once

#include "lib/ring/hub.hpp"

namespace bulkhead::vmm {

int run_standalone(cap::Environment& env, ring::Hub& hub, cap::CapAddr wake);

}  // namespace bulkhead::vmm
