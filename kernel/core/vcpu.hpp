// SPDX-License-Identifier: Apache-2.0
// A virtual CPU: slots for state page, guest page-table root and bound notification; the arch part (VMCB,
// host state) follows on the next page. It runs inside the thread that calls vcpu_run, on that thread's time.
#pragma once

#include "abi/syscall.hpp"
#include "abi/vcpu.hpp"
#include "kernel/core/object.hpp"

namespace bulkhead::core {

struct Thread;
struct Notification;
struct PageTable;

struct alignas(4096) Vcpu {
    Object header;
    Thread* thread;         // in vcpu_run with this vCPU (running, or preempted); nullptr: none
    abi::VcpuState* page;   // kernel's view of the state page, nullptr: none
    PageTable* guest_root;  // nullptr: none
    Notification* bound;
    uint32_t parts;         // kPage, kRoot: the pointers that are there, for one comparison
    uint64_t arch_word[3];  // arch's business; zero in a new one
    alignas(64) Slot tomb;
    Slot slot[abi::kVcpuSlots];

    static constexpr uint32_t kPage = 1, kRoot = 2;

    void* area() { return reinterpret_cast<char*>(this) + 4096; }  // arch::vcpu_bytes() long
};
static_assert(sizeof(Vcpu) == 4096);

}  // namespace bulkhead::core
