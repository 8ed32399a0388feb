// SPDX-License-Identifier: Apache-2.0
// Building the root task. arch calls these once, on the boot CPU, before any other CPU takes the kernel lock:
//   setup(); then map_page() for each page of the root program, its stack and its start information (each
//   call makes a Frame capability in the root CNode); then start(). The remaining memory becomes Untypeds in
//   setup(), except a reserve that map_page() takes from; start() hands what is left of it to the root task
//   as Untypeds as well.
#pragma once

#include "abi/bootinfo.hpp"
#include "abi/start.hpp"
#include "kernel/core/cpu.hpp"

namespace bulkhead::core::boot {

struct Machine {
    const abi::BootInfo* info;
    uint64_t tsc_khz;
    uint64_t secret;              // random; hides physical addresses in Inspect
    uint32_t cpus;                // started
    Cpu* cpu[abi::kMaxCpus];      // id == index; arch owns the memory, zeroed
    abi::KernelInfo kernel_info;  // arch fills features, version, names; setup() fills abi_version,
                                  // object_bytes, cpus, total_memory, tsc_khz
    uint64_t fault_gsi_limit;     // number of global interrupts (GSI) of the machine
};

void setup(const Machine&);  // panics when memory does not suffice
// A zeroed page of the root task at `address`; returns the kernel's view of it, to be filled. flags:
// abi::map.
void* map_page(uint64_t address, uint64_t flags);
// Maps the KernelInfo page (read-only), RootInfo (read-only, several pages) and the IPC buffer (read-write)
// of the root thread.
void map_kernel_info(uint64_t address);
uint64_t map_root_info(uint64_t address);  // returns its size in bytes, rounded to pages
void map_ipc_buffer(uint64_t address);
// For the root task's personality: a CNode and an Untyped of 2^bits slots or bytes; return their slots in the
// root CNode.
uint32_t add_runtime_cnode(unsigned bits);
uint32_t add_runtime_untyped(unsigned bits);
abi::SlotRange free_slots();  // of the root CNode, once everything above was called
// Finishes RootInfo and makes the root thread ready on CPU 0 at priority 63.
void start(uint64_t rip, uint64_t rsp, uint64_t rdi);

}  // namespace bulkhead::core::boot
