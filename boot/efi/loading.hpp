// SPDX-License-Identifier: Apache-2.0
// Brings the kernel and its modules into memory: from inside the image if they are there, else from files.
#pragma once

#include "abi/bootinfo.hpp"
#include "boot/efi/configuration.hpp"

namespace bulkhead::boot {

// Physical address of the entry point; sets kernel_base and kernel_size.
uint64_t load_kernel(Volume& volume, const EmbeddedFiles& embedded, const Configuration& configuration,
                     abi::BootInfo& info);
void load_modules(Volume& volume, const EmbeddedFiles& embedded, const Configuration& configuration,
                  abi::BootInfo& info);

}  // namespace bulkhead::boot
