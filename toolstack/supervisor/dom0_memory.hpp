// SPDX-License-Identifier: Apache-2.0
// dom0_mem= of the boot options, applied to dom0's own memory. Xen's dom0 needs memory for Linux and drivers;
// this one needs what the manifest says, and can use a little more for its journal of many guests. So the
// wish is followed within bounds.
#pragma once

#include "abi/boot_options.hpp"

namespace bulkhead::supervisor {

struct Dom0Memory {
    uint64_t asked_kib;
    uint32_t kib, most_kib;
};

Dom0Memory dom0_memory(const abi::BootOptions&, uint32_t manifest_kib, uint64_t total_bytes);

}  // namespace bulkhead::supervisor
