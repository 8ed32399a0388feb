// SPDX-License-Identifier: Apache-2.0
// Xen's hypercalls as a PVH guest makes them: number in RAX, arguments in RDI, RSI, RDX, R10, R8, result in
// RAX. By VMMCALL or VMCALL directly, or through the page that MSR 0x40000000 fills.
//
// Called by the vCPU's thread. xen_version, console_io and SCHEDOP_yield run without the VM's lock, all
// others under it. Arguments are guest-virtual and reached by a walk of the guest's page tables; a bad
// pointer is -EFAULT.
#pragma once

#include <cstdint>

#include "services/vmm-stubdom/memory/guest_address.hpp"
#include "services/vmm-stubdom/memory/page_walker.hpp"

namespace bulkhead::vmm {

class Vm;
class Vcpu;

int64_t hypercall(Vm& vm, Vcpu& vcpu);
constexpr bool is_pure_hypercall(uint64_t number) {
    return static_cast<uint32_t>(number) == 17;
}  // xen_version: touches nothing but its arguments
bool write_hypercall_page(Vm& vm, GuestPhys page);  // false: not RAM

// What one hypercall works with.
struct HypercallContext {
    Vm& vm;
    Vcpu& vcpu;
    PageWalker walker;
    uint64_t arg[5];

    template <typename T>
    bool get(uint64_t linear, T& value) const {
        return copy_from_guest_virtual(walker, linear, value);
    }
    template <typename T>
    bool put(uint64_t linear, const T& value) const {
        return copy_to_guest_virtual(walker, linear, value);
    }
};

// One function per hypercall, each in a file of its name.
int64_t xen_version(HypercallContext& c);
int64_t memory_op(HypercallContext& c);
int64_t event_channel_op(HypercallContext& c);
int64_t sched_op(HypercallContext& c);
int64_t vcpu_op(HypercallContext& c);
int64_t hvm_op(HypercallContext& c);
int64_t grant_table_op(HypercallContext& c);
int64_t console_io(HypercallContext& c);
int64_t vm_assist(HypercallContext& c);
int64_t set_timer_op(HypercallContext& c);

}  // namespace bulkhead::vmm
