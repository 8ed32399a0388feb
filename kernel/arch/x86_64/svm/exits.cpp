// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/svm/exits.hpp"

namespace bulkhead::arch::svm {

using abi::ExitReason;
using abi::SegmentState;
using abi::VcpuState;

namespace {

SegmentState from_vmcb(const VmcbSegment& s) {
    return {s.selector, s.attributes, s.limit, s.base};
}

// APM 15.10.2: EXITINFO1 of IOIO.
void save_io(const Vmcb& vmcb, VcpuState& page) {
    const uint64_t info = vmcb.exit_info1;
    page.io_port = static_cast<uint16_t>(info >> 16);
    page.io_bytes = static_cast<uint8_t>((info >> 4) & 7);
    page.io_in = info & 1;
    page.io_string = (info >> 2) & 1;
    page.io_rep = (info >> 3) & 1;
    page.io_address_bytes = static_cast<uint8_t>(((info >> 7) & 7) << 1);
    page.next_rip = vmcb.exit_info2;
}

void save_nested_fault(const Vmcb& vmcb, VcpuState& page, const Limits& machine) {
    page.guest_physical = vmcb.exit_info2;
    page.fault_flags = vmcb.exit_info1;
    if (!machine.decode_assists) return;
    page.fetched_bytes = vmcb.fetched_bytes & 15;
    for (unsigned i = 0; i < sizeof(page.instruction); ++i) page.instruction[i] = vmcb.instruction[i];
}

}  // namespace

void save_state(const Area& area, VcpuState& page, uint64_t groups) {
    save_control(area, page);
    const Vmcb& vmcb = area.vmcb;
    const Guest& guest = area.guest;
    page.valid = groups | VcpuState::kControl;
    if ((groups & VcpuState::kSegments) != 0) {
        page.es = from_vmcb(vmcb.es);
        page.cs = from_vmcb(vmcb.cs);
        page.ss = from_vmcb(vmcb.ss);
        page.ds = from_vmcb(vmcb.ds);
        page.fs = from_vmcb(vmcb.fs);
        page.gs = from_vmcb(vmcb.gs);
        page.ldtr = from_vmcb(vmcb.ldtr);
        page.tr = from_vmcb(vmcb.tr);
        page.gdtr = from_vmcb(vmcb.gdtr);
        page.idtr = from_vmcb(vmcb.idtr);
    }
    if ((groups & VcpuState::kMsrs) != 0) {
        page.star = vmcb.star;
        page.lstar = vmcb.lstar;
        page.cstar = vmcb.cstar;
        page.sfmask = vmcb.sfmask;
        page.kernel_gs_base = vmcb.kernel_gs_base;
        page.sysenter_cs = vmcb.sysenter_cs;
        page.sysenter_esp = vmcb.sysenter_esp;
        page.sysenter_eip = vmcb.sysenter_eip;
        page.tsc_aux = guest.tsc_aux;
    }
    if ((groups & VcpuState::kDebug) != 0) {
        page.dr6 = vmcb.dr6;
        page.dr7 = vmcb.dr7;
    }
    if ((groups & VcpuState::kXcr0) != 0) page.xcr0 = guest.xcr0;
}

ExitReason save_exit(const Area& area, VcpuState& page, const Limits& machine) {
    const Vmcb& vmcb = area.vmcb;
    const uint32_t code = exit_code(vmcb);
    if (code < kExitCodes) {
        const ExitReason reason = save_table_exit(area, page, code, machine);
        if (code == exit::kIo) save_io(vmcb, page);
        if (code != exit::kMsr || (vmcb.exit_info1 & 1) == 0) return reason;
        return page.reason = ExitReason::MsrWrite;
    }
    page.exit_code = code;
    page.interrupted_event = interrupted_event(vmcb.exit_interrupt_info);
    page.fetched_bytes = 0;
    page.next_rip = 0;
    if (code != exit::kNestedPageFault) return page.reason = ExitReason::Other;
    save_nested_fault(vmcb, page, machine);
    return page.reason = ExitReason::NestedFault;
}

}  // namespace bulkhead::arch::svm
