// SPDX-License-Identifier: Apache-2.0
// From the state page to the VMCB (back: exits.hpp). No privileged instruction: tested on the host.
//
// The page is memory of the VMM, which may write it at any moment: each input is read once. What VMRUN would
// not accept, or the host does not allow, is refused (VcpuInvalid); the intercepts and bits that protect the
// host are on whatever the page says.
#pragma once

#include "abi/vcpu.hpp"
#include "kernel/arch/x86_64/svm/guest.hpp"

namespace bulkhead::arch::svm {

void init_area(Area&, uint64_t vmcb_physical, uint64_t iopm_physical, uint64_t msrpm_physical);

// Inputs to VMCB and Guest. Not Ok: nothing changed, *field is the byte offset in VcpuState of the offender.
abi::Status load_state(Area&, abi::VcpuState&, const Limits& machine, uint64_t* field);

// VMRUN will deliver an external interrupt.
bool injects_interrupt(const Vmcb&);

template <typename T>
T once(const T& value) {
    return *const_cast<const volatile T*>(&value);
}
template <>
inline abi::SegmentState once(const abi::SegmentState& s) {
    return {once(s.selector), once(s.attributes), once(s.limit), once(s.base)};
}

// want_window (low half) and flags, as one.
inline uint64_t control_word(const abi::VcpuState& page) {
    using Word [[gnu::may_alias]] = uint64_t;
    static_assert(offsetof(abi::VcpuState, want_window) % sizeof(Word) == 0 &&
                  offsetof(abi::VcpuState, flags) == offsetof(abi::VcpuState, want_window) + 4);
    return once(*reinterpret_cast<const Word*>(&page.want_window));
}

// What changes at every exit. No CPU caches these fields of a VMCB (APM 15.15.3).
[[gnu::always_inline]] inline void load_registers(Vmcb& vmcb, const abi::VcpuState& page) {
    constexpr uint64_t kRflagsDefined = 0x3f7fd7;
    vmcb.rax = once(page.gpr[0]);
    vmcb.rsp = once(page.gpr[4]);
    vmcb.rip = once(page.rip);
    vmcb.rflags = (once(page.rflags) & kRflagsDefined) | 2;
    vmcb.interrupt_shadow = once(page.interrupt_shadow) & 1;
}

// load_state() for a VMM that changed nothing but these since the guest's last exit. False: nothing was done.
[[gnu::always_inline]] inline bool load_plain(Area& area, const abi::VcpuState& page) {
    Vmcb& vmcb = area.vmcb;
    if ((once(page.dirty) | once(page.inject)) != 0 || control_word(page) != area.guest.controls ||
        once(page.tsc_offset) != vmcb.tsc_offset)
        return false;
    load_registers(vmcb, page);
    return true;
}

}  // namespace bulkhead::arch::svm
