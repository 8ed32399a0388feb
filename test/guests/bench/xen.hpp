// SPDX-License-Identifier: Apache-2.0
// The little of Xen's guest ABI that the benchmark guest uses. Numbers and layouts are those of
// /usr/include/xen.
#pragma once

#define __XEN_TOOLS__ 1
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/xs_wire.h>
#include <xen/sched.h>
#include <xen/version.h>
#include <xen/xen.h>

namespace bulkhead::guest {

inline bool intel() {
    uint32_t eax = 0, ebx, ecx = 0, edx;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx == 0x756e6547;  // "Genu"
}

// By instruction, as Linux does since 6.1.123; no hypercall page.
[[gnu::always_inline]] inline int64_t hypercall(bool by_vmcall, uint64_t number, uint64_t a = 0,
                                                uint64_t b = 0, uint64_t c = 0) {
    int64_t result;
    if (by_vmcall)
        asm volatile("vmcall" : "=a"(result), "+D"(a), "+S"(b), "+d"(c) : "a"(number) : "memory");
    else
        asm volatile("vmmcall" : "=a"(result), "+D"(a), "+S"(b), "+d"(c) : "a"(number) : "memory");
    return result;
}

class Xen {
  public:
    Xen() : vmcall_{intel()} {}
    int64_t version() const { return hypercall(vmcall_, __HYPERVISOR_xen_version, XENVER_version); }
    void print(const char* text, size_t length) const {
        hypercall(vmcall_, __HYPERVISOR_console_io, CONSOLEIO_write, length,
                  reinterpret_cast<uint64_t>(text));
    }
    uint64_t parameter(uint32_t index) const {
        xen_hvm_param param{DOMID_SELF, 0, index, 0};
        return hypercall(vmcall_, __HYPERVISOR_hvm_op, HVMOP_get_param, reinterpret_cast<uint64_t>(&param)) ==
                       0
                   ? param.value
                   : 0;
    }
    void notify(uint32_t port) const {
        evtchn_send send{port};
        hypercall(vmcall_, __HYPERVISOR_event_channel_op, EVTCHNOP_send, reinterpret_cast<uint64_t>(&send));
    }
    void power_off() const {
        sched_shutdown shutdown{SHUTDOWN_poweroff};
        hypercall(vmcall_, __HYPERVISOR_sched_op, SCHEDOP_shutdown, reinterpret_cast<uint64_t>(&shutdown));
    }

  private:
    bool vmcall_;
};

}  // namespace bulkhead::guest
