// SPDX-License-Identifier: Apache-2.0
// From the VMCB to the state page, after #VMEXIT. No privileged instruction: tested on the host. Inline,
// because the fast path (fast_guest.cpp) is compiled by itself.
#pragma once

#include <initializer_list>

#include "kernel/arch/x86_64/svm/state_page.hpp"

namespace bulkhead::arch::svm {

// What an exit code means. Some exits are of an instruction, so that NRIP tells where the next one is (APM
// 15.7.1); other exits may hold garbage there.
struct ExitMeaning {
    abi::ExitReason reason = abi::ExitReason::Other;
    bool plain = false;   // it is for the VMM, and this is all of its meaning
    int8_t next_rip = 0;  // a mask: -1 if it is valid
};
constexpr uint32_t kExitCodes = exit::kRdpru + 1;
struct ExitTable {
    ExitMeaning entry[kExitCodes];
    constexpr ExitMeaning& operator[](uint32_t code) { return entry[code]; }
    constexpr const ExitMeaning& operator[](uint32_t code) const { return entry[code]; }
};
constexpr ExitTable make_exit_table() {
    using abi::ExitReason;
    ExitTable t;
    for (uint32_t v = 0; v < 32; ++v) t[exit::kException + v] = {ExitReason::Exception};
    t[exit::kVintr] = {ExitReason::InterruptWindow};
    t[exit::kCpuid] = {ExitReason::Cpuid, true, -1};
    t[exit::kHlt] = {ExitReason::Hlt, true, -1};
    t[exit::kIo] = {ExitReason::Io};
    t[exit::kMsr] = {ExitReason::MsrRead, false, -1};
    t[exit::kVmmcall] = {ExitReason::Hypercall, true, -1};
    t[exit::kShutdown] = {ExitReason::Shutdown, true};
    t[exit::kXsetbv] = {ExitReason::Xsetbv, true, -1};
    t[exit::kPause] = {ExitReason::Pause, true, -1};
    t[exit::kWbinvd] = t[exit::kInvd] = {ExitReason::Wbinvd, true, -1};
    t[exit::kMonitor] = t[exit::kMwait] = t[exit::kMwaitArmed] = {ExitReason::Monitor, true, -1};
    t[exit::kRdtsc] = {ExitReason::Rdtsc, true, -1};
    for (const uint32_t code : {exit::kInvlpga, exit::kVmrun, exit::kVmload, exit::kVmsave, exit::kStgi,
                                exit::kClgi, exit::kSkinit, exit::kRdpru})
        t[code] = {ExitReason::VirtInstruction, true, -1};
    return t;
}
inline constexpr ExitTable kExits = make_exit_table();

// VMEXIT_INVALID may be stored as 32 bits.
inline uint32_t exit_code(const Vmcb& vmcb) {
    uint32_t code;
    __builtin_memcpy(&code, &vmcb.exit_code, sizeof code);
    return code;
}

inline bool raised_again_by_its_instruction(uint64_t interrupted) {
    const unsigned type = (interrupted >> 8) & 7, vector = interrupted & 0xff;
    return type == event::kSoftware || (type == event::kException && (vector == 3 || vector == 4));
}
inline uint64_t interrupted_event(uint64_t info) {
    return (info & event::kValid) != 0 && !raised_again_by_its_instruction(info) ? info : 0;
}

// An event whose delivery was interrupted by an exit that the kernel deals with itself goes back into
// EVENTINJ (APM 15.20), unless executing the instruction again raises it again.
inline void requeue_interrupted_event(Vmcb& vmcb) {
    vmcb.event_injection = interrupted_event(vmcb.exit_interrupt_info);
}

// Writes RAX, RSP, RIP, RFLAGS and kControl (the other general registers are there already). Not PAT: a
// guest's access to it exits, so the page has it as it was loaded.
[[gnu::always_inline]] inline void save_control(const Area& area, abi::VcpuState& page) {
    const Vmcb& vmcb = area.vmcb;
    page.gpr[0] = vmcb.rax;
    page.gpr[4] = vmcb.rsp;
    page.rip = vmcb.rip;
    page.rflags = vmcb.rflags;
    page.cpl = vmcb.cpl;
    page.interrupt_shadow = vmcb.interrupt_shadow & 1;
    page.cr0 = vmcb.cr0;
    page.cr2 = vmcb.cr2;
    page.cr3 = vmcb.cr3;
    page.cr4 = vmcb.cr4;
    page.efer = vmcb.efer & ~uint64_t{1 << 12};  // SVME: the host's
    page.valid = abi::VcpuState::kControl;
}

// The same and other groups.
void save_state(const Area&, abi::VcpuState&, uint64_t groups);

inline constexpr uint64_t kOtherGroups = abi::VcpuState::kAllGroups & ~abi::VcpuState::kControl;
inline uint64_t wanted_groups(const abi::VcpuState& page) {
    return once(page.want) & kOtherGroups;
}

// What the exit means for the VMM, whatever it is. The reason is returned, too: what the page says is the
// VMM's to change.
abi::ExitReason save_exit(const Area&, abi::VcpuState&, const Limits& machine);

// The same for one of the table.
[[gnu::always_inline]] inline abi::ExitReason save_table_exit(const Area& area, abi::VcpuState& page,
                                                              uint32_t code, const Limits& machine) {
    const Vmcb& vmcb = area.vmcb;
    const ExitMeaning& meaning = kExits[code];
    page.exit_code = code;
    page.interrupted_event = 0;
    if (static_cast<int32_t>(vmcb.exit_interrupt_info) < 0) [[unlikely]]  // event::kValid
        page.interrupted_event = interrupted_event(vmcb.exit_interrupt_info);
    page.fetched_bytes = 0;
    page.next_rip = vmcb.next_rip & static_cast<uint64_t>(int64_t{meaning.next_rip}) & machine.next_rip;
    page.reason = meaning.reason;
    return meaning.reason;
}

}  // namespace bulkhead::arch::svm
