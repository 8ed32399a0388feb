// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/svm/state_page.hpp"

#include "kernel/arch/x86_64/cpu.hpp"

namespace bulkhead::arch::svm {

using abi::ExitReason;
using abi::SegmentState;
using abi::VcpuState;

namespace {

constexpr uint32_t kIntercepts1 = intercept1::kIntr | intercept1::kNmi | intercept1::kInit |
                                  intercept1::kCpuid | intercept1::kRsm | intercept1::kInvd |
                                  intercept1::kHlt | intercept1::kInvlpga | intercept1::kIo |
                                  intercept1::kMsr | intercept1::kFerrFreeze | intercept1::kShutdown;
constexpr uint32_t kIntercepts2 =
    intercept2::kVmrun | intercept2::kVmmcall | intercept2::kVmload | intercept2::kVmsave |
    intercept2::kStgi | intercept2::kClgi | intercept2::kSkinit | intercept2::kWbinvd | intercept2::kMonitor |
    intercept2::kMwait | intercept2::kMwaitArmed | intercept2::kXsetbv | intercept2::kRdpru;
// #DB and #AC can be made to recur for ever inside the CPU (CVE-2015-8104, CVE-2015-5307); #MC is the host's.
constexpr uint32_t kExceptions = (1u << 1) | (1u << 17) | (1u << 18);
constexpr uint16_t kDebugAddressRegisters = 0xf;

// "field" of VcpuInvalid.
#define FIELD(member) offsetof(VcpuState, member)

// A copy of the dirty groups, taken once.
struct Inputs {
    uint64_t dirty;
    uint64_t cr0, cr2, cr3, cr4, efer, pat;
    SegmentState es, cs, ss, ds, fs, gs, ldtr, tr, gdtr, idtr;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, tsc_aux;
    uint64_t dr6, dr7, xcr0;
};

void copy_segments(Inputs& in, const VcpuState& page) {
    in.es = once(page.es);
    in.cs = once(page.cs);
    in.ss = once(page.ss);
    in.ds = once(page.ds);
    in.fs = once(page.fs);
    in.gs = once(page.gs);
    in.ldtr = once(page.ldtr);
    in.tr = once(page.tr);
    in.gdtr = once(page.gdtr);
    in.idtr = once(page.idtr);
}

void copy_msrs(Inputs& in, const VcpuState& page) {
    in.star = once(page.star);
    in.lstar = once(page.lstar);
    in.cstar = once(page.cstar);
    in.sfmask = once(page.sfmask);
    in.kernel_gs_base = once(page.kernel_gs_base);
    in.sysenter_cs = once(page.sysenter_cs);
    in.sysenter_esp = once(page.sysenter_esp);
    in.sysenter_eip = once(page.sysenter_eip);
    in.tsc_aux = once(page.tsc_aux);
}

void copy_groups(Inputs& in, const VcpuState& page) {
    if ((in.dirty & VcpuState::kControl) != 0) {
        in.cr0 = once(page.cr0);
        in.cr2 = once(page.cr2);
        in.cr3 = once(page.cr3);
        in.cr4 = once(page.cr4);
        in.efer = once(page.efer);
        in.pat = once(page.pat);
    }
    if ((in.dirty & VcpuState::kSegments) != 0) copy_segments(in, page);
    if ((in.dirty & VcpuState::kMsrs) != 0) copy_msrs(in, page);
    if ((in.dirty & VcpuState::kDebug) != 0) {
        in.dr6 = once(page.dr6);
        in.dr7 = once(page.dr7);
    }
    if ((in.dirty & VcpuState::kXcr0) != 0) in.xcr0 = once(page.xcr0);
}

bool valid_event(uint64_t inject) {
    if ((inject & event::kValid) == 0) return true;
    const unsigned type = (inject >> 8) & 7, vector = inject & 0xff;
    if ((inject & 0x7ffff000) != 0) return false;
    switch (type) {
        case event::kInterrupt:
        case event::kSoftware: return (inject & event::kErrorCode) == 0;
        case event::kNmi: return vector == 2 && (inject & event::kErrorCode) == 0;
        case event::kException: return vector < 32 && vector != 2;
        default: return false;
    }
}

bool valid_pat(uint64_t pat, uint64_t types) {
    for (unsigned i = 0; i < 8; ++i) {
        const unsigned type = (pat >> (8 * i)) & 0xff;
        if (type > 7 || ((types >> type) & 1) == 0) return false;
    }
    return true;
}

bool valid_xcr0(uint64_t value, uint64_t allowed) {
    if ((value & ~allowed) != 0 || (value & 1) == 0) return false;
    if ((value & 4) != 0 && (value & 2) == 0) return false;
    const uint64_t avx512 = value & 0xe0;
    return avx512 == 0 || (avx512 == 0xe0 && (value & 4) != 0);
}

// 0: all good; else the offset of the offender. All consistency checks of VMRUN (APM 15.5.1) are made here,
// on the state as it will be, so that VMRUN never fails: QEMU 7.2 delivers that failure as interrupt 255 in
// half-loaded state.
uint64_t find_invalid(const Inputs& in, const Vmcb& vmcb, const Limits& machine) {
    if ((in.dirty & VcpuState::kControl) != 0) {
        if ((in.cr0 >> 32) != 0 || ((in.cr0 & cr0::kNw) != 0 && (in.cr0 & cr0::kCd) == 0)) return FIELD(cr0);
        if ((in.cr0 & cr0::kPg) != 0 && (in.cr0 & cr0::kPe) == 0) return FIELD(cr0);
        if ((in.cr4 & ~machine.cr4) != 0) return FIELD(cr4);
        if ((in.efer & ~machine.efer & ~(efer::kSvme | efer::kLma)) != 0) return FIELD(efer);
        if ((in.efer & efer::kLme) != 0 && (in.cr0 & cr0::kPg) != 0 && (in.cr4 & cr4::kPae) == 0)
            return FIELD(cr4);
        if ((in.cr3 & ~machine.cr3) != 0) return FIELD(cr3);
        if (!valid_pat(in.pat, machine.pat_types)) return FIELD(pat);
    }
    constexpr uint16_t kLongAndDefault32 = 0x600;  // CS.L and CS.D
    const bool control = (in.dirty & VcpuState::kControl) != 0;
    const uint64_t efer_then = control ? in.efer : vmcb.efer, cr0_then = control ? in.cr0 : vmcb.cr0;
    const uint16_t cs_then = (in.dirty & VcpuState::kSegments) != 0 ? in.cs.attributes : vmcb.cs.attributes;
    if ((efer_then & efer::kLme) != 0 && (cr0_then & cr0::kPg) != 0 &&
        (cs_then & kLongAndDefault32) == kLongAndDefault32)
        return FIELD(cs);
    if ((in.dirty & VcpuState::kDebug) != 0) {
        if ((in.dr6 >> 32) != 0) return FIELD(dr6);
        if ((in.dr7 >> 32) != 0) return FIELD(dr7);
    }
    if ((in.dirty & VcpuState::kXcr0) != 0 && !valid_xcr0(in.xcr0, machine.xcr0)) return FIELD(xcr0);
    return 0;
}

VmcbSegment to_vmcb(const SegmentState& s) {
    return {s.selector, static_cast<uint16_t>(s.attributes & 0xfff), s.limit, s.base};
}

void load_groups(Vmcb& vmcb, Guest& guest, const Inputs& in) {
    if ((in.dirty & VcpuState::kControl) != 0) {
        vmcb.cr0 = in.cr0;
        vmcb.cr2 = in.cr2;
        vmcb.cr3 = in.cr3;
        vmcb.cr4 = in.cr4;
        // VMRUN wants SVME (APM 15.5.1); LMA follows LME and paging, whatever the VMM made of it.
        const bool long_mode = (in.efer & efer::kLme) != 0 && (in.cr0 & cr0::kPg) != 0;
        vmcb.efer = (in.efer & ~efer::kLma) | efer::kSvme | (long_mode ? efer::kLma : 0);
        vmcb.pat = in.pat;
        vmcb.clean &= ~(clean::kControlRegisters | clean::kCr2 | clean::kNested);
    }
    if ((in.dirty & VcpuState::kSegments) != 0) {
        vmcb.es = to_vmcb(in.es);
        vmcb.cs = to_vmcb(in.cs);
        vmcb.ss = to_vmcb(in.ss);
        vmcb.ds = to_vmcb(in.ds);
        vmcb.fs = to_vmcb(in.fs);
        vmcb.gs = to_vmcb(in.gs);
        vmcb.ldtr = to_vmcb(in.ldtr);
        vmcb.tr = to_vmcb(in.tr);
        vmcb.gdtr = {0, 0, in.gdtr.limit, in.gdtr.base};
        vmcb.idtr = {0, 0, in.idtr.limit, in.idtr.base};
        vmcb.cpl = (vmcb.ss.attributes >> 5) & 3;
        vmcb.clean &= ~(clean::kSegments | clean::kTables);
    }
    if ((in.dirty & VcpuState::kMsrs) != 0) {
        vmcb.star = in.star;
        vmcb.lstar = in.lstar;
        vmcb.cstar = in.cstar;
        vmcb.sfmask = in.sfmask;
        vmcb.kernel_gs_base = in.kernel_gs_base;
        vmcb.sysenter_cs = in.sysenter_cs;
        vmcb.sysenter_esp = in.sysenter_esp;
        vmcb.sysenter_eip = in.sysenter_eip;
        guest.tsc_aux = in.tsc_aux & 0xffffffff;
        guest.key = 0;
    }
    if ((in.dirty & VcpuState::kDebug) != 0) {
        vmcb.dr6 = in.dr6;
        vmcb.dr7 = in.dr7;
        vmcb.clean &= ~clean::kDebugRegisters;
    }
    if ((in.dirty & VcpuState::kXcr0) != 0) guest.xcr0 = in.xcr0;
}

// Copies, checks and loads what the VMM changed; 0, or the offset of the offender (then nothing changed).
[[gnu::noinline]] uint64_t load_dirty(Vmcb& vmcb, Guest& guest, const VcpuState& page, uint64_t dirty,
                                      const Limits& machine) {
    Inputs in{};
    in.dirty = dirty;
    copy_groups(in, page);
    const uint64_t offender = find_invalid(in, vmcb, machine);
    if (offender == 0) load_groups(vmcb, guest, in);
    return offender;
}

void load_controls(Vmcb& vmcb, Guest& guest, VcpuState& page) {
    const uint64_t word = control_word(page), tsc_offset = once(page.tsc_offset);
    const uint32_t flags = static_cast<uint32_t>(word >> 32);
    const bool want_window = static_cast<uint32_t>(word) != 0;
    const uint32_t intercepts1 = kIntercepts1 | (want_window ? intercept1::kVintr : 0) |
                                 ((flags & VcpuState::kPauseExits) != 0 ? intercept1::kPause : 0);
    if (vmcb.intercepts1 != intercepts1 || vmcb.tsc_offset != tsc_offset) {
        vmcb.intercepts1 = intercepts1;
        vmcb.tsc_offset = tsc_offset;
        vmcb.clean &= ~clean::kIntercepts;
    }
    // A virtual interrupt that is pending but never delivered: its VINTR intercept tells when the guest could
    // take one (15.21.4).
    const uint64_t control = (vmcb.interrupt_control & kTprMask) | kInterruptMasking |
                             (want_window ? kVirtualInterrupt | kIgnoreTpr : 0);
    if (vmcb.interrupt_control != control) {
        vmcb.interrupt_control = control;
        vmcb.clean &= ~clean::kTpr;
    }
    constexpr uint32_t kOnce = VcpuState::kSyncOnly | VcpuState::kFlushTlb;
    guest.controls = word & ~(uint64_t{kOnce} << 32);
    if ((flags & VcpuState::kFlushTlb) == 0) return;
    guest.flush = 1;
    guest.key = 0;
    page.flags = flags & ~VcpuState::kFlushTlb;
}

}  // namespace

void init_area(Area& area, uint64_t vmcb_physical, uint64_t iopm_physical, uint64_t msrpm_physical) {
    Vmcb& vmcb = area.vmcb;
    vmcb.dr_read = vmcb.dr_write = kDebugAddressRegisters;
    vmcb.exceptions = kExceptions;
    vmcb.intercepts1 = kIntercepts1;
    vmcb.intercepts2 = kIntercepts2;
    vmcb.iopm = iopm_physical;
    vmcb.msrpm = msrpm_physical;
    vmcb.interrupt_control = kInterruptMasking;
    vmcb.nested_control = 1;
    vmcb.efer = efer::kSvme;
    vmcb.pat = 0x0007040600070406;
    area.guest.vmcb_physical = vmcb_physical;
    area.guest.xcr0 = 1;
}

abi::Status load_state(Area& area, VcpuState& page, const Limits& machine, uint64_t* field) {
    Vmcb& vmcb = area.vmcb;
    const uint64_t dirty = once(page.dirty), inject = once(page.inject);
    if (!valid_event(inject)) {
        *field = FIELD(inject);
        return abi::Status::VcpuInvalid;
    }
    if (dirty != 0) {
        if (const uint64_t offender = load_dirty(vmcb, area.guest, page, dirty, machine)) {
            *field = offender;
            return abi::Status::VcpuInvalid;
        }
        page.dirty = 0;
    }
    load_registers(vmcb, page);
    vmcb.event_injection = inject;
    load_controls(vmcb, area.guest, page);
    if (inject != 0) page.inject = 0;
    return abi::Status::Ok;
}

bool injects_interrupt(const Vmcb& vmcb) {
    return (vmcb.event_injection & (event::kValid | event::kTypeMask)) ==
           (event::kValid | uint64_t{event::kInterrupt} << 8);
}

}  // namespace bulkhead::arch::svm
