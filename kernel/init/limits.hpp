// SPDX-License-Identifier: Apache-2.0
// What the options mem=, maxcpus=, nosmp and smt= leave of the machine that the firmware describes.
#pragma once

#include "abi/bootinfo.hpp"

namespace bulkhead::init {

// Free memory from mem= on becomes Bad: nobody's, and neither counted nor taken for the space of devices.
void limit_memory(abi::BootInfo&);

// Drops the CPUs that shall not be started. `threads_shift`: how many low bits of an APIC ID tell threads of
// a core apart.
void limit_cpus(abi::BootInfo&, unsigned threads_shift);

}  // namespace bulkhead::init
