// SPDX-License-Identifier: Apache-2.0
// Leaves the firmware: the final memory map, the BootInfo, page tables, the jump. See
// kernel/arch/x86_64/entry_contract.hpp.
#pragma once

#include "abi/bootinfo.hpp"
#include "boot/efi/efi.hpp"

namespace bulkhead::boot {

// `info` lies below 4 GiB, complete but for range[]. Does not return.
[[noreturn]] void hand_over(EFI_HANDLE image, abi::BootInfo& info, uint64_t kernel_entry);

}  // namespace bulkhead::boot
