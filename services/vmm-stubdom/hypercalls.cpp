// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/hypercalls.hpp"

#include <cstring>
#include <mutex>

#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

enum Gpr : unsigned { kRax = 0, kRdx = 2, kRsi = 6, kRdi = 7, kR8 = 8, kR10 = 10 };
constexpr uint64_t kLongModeActive = 1 << 10;

int64_t locked(HypercallContext& c, uint32_t number) {
    const std::lock_guard guard{c.vm.lock()};
    switch (number) {
        case __HYPERVISOR_memory_op: return memory_op(c);
        case __HYPERVISOR_event_channel_op: return event_channel_op(c);
        case __HYPERVISOR_sched_op: return sched_op(c);
        case __HYPERVISOR_vcpu_op: return vcpu_op(c);
        case __HYPERVISOR_hvm_op: return hvm_op(c);
        case __HYPERVISOR_grant_table_op: return grant_table_op(c);
        case __HYPERVISOR_vm_assist: return vm_assist(c);
        case __HYPERVISOR_set_timer_op: return set_timer_op(c);
        default: return -XEN_ENOSYS;
    }
}

}  // namespace

int64_t hypercall(Vm& vm, Vcpu& vcpu) {
    const abi::VcpuState& s = vcpu.state();
    if (s.cpl != 0) return -XEN_EPERM;
    if (!(s.efer & kLongModeActive)) {
        // The 32-bit layouts of the structures are others; a half-understood call would be worse than none.
        vm.observer().log("vmm: " + vm.config().name +
                          ": a hypercall from 32-bit code was refused: only 64-bit guests are supported");
        return -XEN_ENOSYS;
    }
    HypercallContext c{vm,
                       vcpu,
                       PageWalker{vm.memory(), PagingState{s.cr0, s.cr3, s.cr4, s.efer}},
                       {s.gpr[kRdi], s.gpr[kRsi], s.gpr[kRdx], s.gpr[kR10], s.gpr[kR8]}};
    const auto number = static_cast<uint32_t>(s.gpr[kRax]);
    if (number == __HYPERVISOR_xen_version) return xen_version(c);
    if (number == __HYPERVISOR_console_io) return console_io(c);
    // A guest whose console is full yields again and again: whoever takes its output needs the lock
    // meanwhile.
    if (number == __HYPERVISOR_sched_op && static_cast<uint32_t>(c.arg[0]) == SCHEDOP_yield)
        return vcpu.port().yield(), 0;
    return locked(c, number);
}

bool write_hypercall_page(Vm& vm, GuestPhys page) {
    // Per call 32 bytes: mov $number,%eax; vmmcall (or vmcall); ret. `iret` (23) is for PV guests only.
    std::byte code[4096];
    std::memset(code, 0xcc, sizeof code);
    for (unsigned number = 0; number < 128; ++number) {
        const uint8_t third = vm.cpuid().is_amd() ? 0xd9 : 0xc1;
        const uint8_t stub[9] = {0xb8, static_cast<uint8_t>(number), 0, 0, 0, 0x0f, 0x01, third, 0xc3};
        const uint8_t undefined[2] = {0x0f, 0x0b};
        if (number == __HYPERVISOR_iret)
            std::memcpy(code + number * 32, undefined, sizeof undefined);
        else
            std::memcpy(code + number * 32, stub, sizeof stub);
    }
    return vm.memory().copy_out(page, std::span<const std::byte>{code});
}

}  // namespace bulkhead::vmm
