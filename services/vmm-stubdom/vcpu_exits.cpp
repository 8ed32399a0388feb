// SPDX-License-Identifier: Apache-2.0
// What each exit does. The frequent ones come first in dispatch() and take no lock.
#include <cstdio>

#include "services/vmm-stubdom/hypercalls.hpp"
#include "services/vmm-stubdom/io_ports.hpp"
#include "services/vmm-stubdom/mmio.hpp"
#include "services/vmm-stubdom/vcpu.hpp"
#include "services/vmm-stubdom/vm.hpp"

namespace bulkhead::vmm {

namespace {

using abi::ExitReason;
using abi::VcpuState;

enum Gpr : unsigned { kRax = 0, kRcx = 1, kRdx = 2, kRbx = 3, kRdi = 7 };
constexpr uint8_t kInvalidOpcode = 6, kGeneralProtection = 13, kAlignmentCheck = 17, kMachineCheck = 18;
constexpr uint64_t kLongModeActive = 1 << 10;

}  // namespace

uint64_t Vcpu::linear_rip() {
    if (state_.efer & kLongModeActive) return state_.rip;
    if (!(state_.valid & VcpuState::kSegments)) port_.sync();
    return (state_.cs.base + state_.rip) & 0xffffffff;
}

uint64_t Vcpu::next_rip() {
    if (state_.next_rip) return state_.next_rip;
    const unsigned length = instructions_.length(state_, linear_rip());
    if (length) return state_.rip + length;
    // 32-bit code under a 64-bit kernel may have a code segment with a base.
    port_.sync();
    const unsigned based = instructions_.length(state_, (state_.cs.base + state_.rip) & 0xffffffff);
    return based ? state_.rip + based : 0;
}

inline void Vcpu::note(ExitReason reason) {
    uint64_t detail = state_.gpr[kRax];
    if (reason == ExitReason::NestedFault) detail = state_.guest_physical;
    if (reason == ExitReason::MsrRead || reason == ExitReason::MsrWrite) detail = state_.gpr[kRcx];
    if (reason == ExitReason::Hypercall) detail = static_cast<uint32_t>(detail) | state_.gpr[kRdi] << 32;
    if (reason == ExitReason::Io) detail = state_.io_port | uint64_t{state_.io_in} << 16;
    if (reason == ExitReason::Exception || reason == ExitReason::Other) detail = state_.exit_code;
    trace_.record(reason, state_.rip, detail);
}

bool Vcpu::quick(ExitReason reason) {
    switch (reason) {
        case ExitReason::Cpuid:
            note(reason);
            on_cpuid();
            return true;
        case ExitReason::MsrRead:
            note(reason);
            on_msr(false);
            return true;
        case ExitReason::Hypercall:
            if (!is_pure_hypercall(state_.gpr[kRax])) return false;
            note(reason);
            on_hypercall();
            return true;
        default: return false;
    }
}

void Vcpu::dispatch(ExitReason reason) {
    note(reason);
    switch (reason) {
        case ExitReason::Cpuid: return on_cpuid();
        case ExitReason::Hypercall: return on_hypercall();
        case ExitReason::MsrRead: return on_msr(false);
        case ExitReason::MsrWrite: return on_msr(true);
        case ExitReason::NestedFault: return on_nested_fault();
        case ExitReason::InterruptWindow:
        case ExitReason::Notified:
        case ExitReason::Synced: return;
        case ExitReason::Timeout: return expire_timers(port_.now_tsc());
        case ExitReason::Hlt: return on_halt();
        case ExitReason::Io: return on_io();
        case ExitReason::Pause:
            if (const uint64_t next = next_rip()) finish_instruction(next);
            return port_.yield();
        case ExitReason::Wbinvd:  // memory is coherent: nothing to write back
            if (const uint64_t next = next_rip()) finish_instruction(next);
            return;
        case ExitReason::Xsetbv: return on_xsetbv();
        case ExitReason::Monitor:
        case ExitReason::VirtInstruction: return inject_exception(kInvalidOpcode);
        case ExitReason::Exception: return on_exception();
        case ExitReason::Rdtsc:
            if (const uint64_t next = next_rip()) {
                const uint64_t tsc = port_.now_tsc() + state_.tsc_offset;
                set_low(kRax, static_cast<uint32_t>(tsc));
                set_low(kRdx, static_cast<uint32_t>(tsc >> 32));
                finish_instruction(next);
            }
            return;
        case ExitReason::Shutdown: return vm_.crash(*this, "triple fault");
        case ExitReason::None: return vm_.crash(*this, "the CPU cannot enter this guest state");
        case ExitReason::Other: break;
    }
    char what[64];
    std::snprintf(what, sizeof what, "unexpected exit 0x%llx",
                  static_cast<unsigned long long>(state_.exit_code));
    vm_.crash(*this, what);
}

void Vcpu::on_cpuid() {
    const uint64_t next = next_rip();
    if (!next) return;
    const auto leaf = static_cast<uint32_t>(state_.gpr[kRax]),
               subleaf = static_cast<uint32_t>(state_.gpr[kRcx]);
    if (leaf == 0xd && !(state_.valid & VcpuState::kXcr0)) port_.sync();
    const CpuidResult r =
        vm_.cpuid().lookup(leaf, subleaf, {index_, state_.cr4, state_.xcr0, lapic_.base_msr()});
    set_low(kRax, r.eax);
    set_low(kRbx, r.ebx);
    set_low(kRcx, r.ecx);
    set_low(kRdx, r.edx);
    finish_instruction(next);
}

void Vcpu::on_msr(bool write) {
    const uint64_t next = next_rip();
    if (!next) return;
    const auto msr = static_cast<uint32_t>(state_.gpr[kRcx]);
    if (!write) {
        const auto value = msrs_.read(msr, state_, lapic_, msr == 0x1b ? 0 : port_.now_tsc());
        if (!value) return inject_exception(kGeneralProtection, true);
        set_low(kRax, static_cast<uint32_t>(*value));
        set_low(kRdx, static_cast<uint32_t>(*value >> 32));
        return finish_instruction(next);
    }
    const uint64_t value = (state_.gpr[kRdx] << 32) | static_cast<uint32_t>(state_.gpr[kRax]);
    if ((msr == 0xc0000103) && !(state_.valid & VcpuState::kMsrs))
        port_.sync();  // its group is loaded as a whole
    const MsrWrite result = msrs_.write(msr, value, state_, lapic_, port_.now_tsc());
    switch (result.kind) {
        case MsrWrite::Fault: return inject_exception(kGeneralProtection, true);
        case MsrWrite::HypercallPage:
            if (!write_hypercall_page(vm_, GuestPhys{value & ~uint64_t{0xfff}}))
                return inject_exception(kGeneralProtection, true);
            break;
        case MsrWrite::Lapic: carry_out(result.lapic); break;
        case MsrWrite::Done: break;
    }
    finish_instruction(next);
}

void Vcpu::on_hypercall() {
    const uint64_t next = next_rip();
    if (!next) return;
    // RIP first: a call that suspends or ends the guest must find it behind the instruction.
    finish_instruction(next);
    state_.gpr[kRax] = static_cast<uint64_t>(hypercall(vm_, *this));
}

void Vcpu::on_halt() {
    const uint64_t next = next_rip();
    if (!next) return;
    finish_instruction(next);
    if (!(state_.rflags & (1 << 9)) && !nmi_pending_) return go_down();
    halted_ = true;
}

void Vcpu::on_io() {
    if (handle_port_io(vm_, *this)) finish_instruction(state_.next_rip);
}

void Vcpu::on_nested_fault() {
    const MmioExit result = handle_mmio(vm_, *this, linear_rip());
    if (result.outcome == MmioExit::Cannot) return vm_.crash(*this, result.text);
}

void Vcpu::on_xsetbv() {
    const uint64_t next = next_rip();
    if (!next) return;
    const uint64_t value = (state_.gpr[kRdx] << 32) | static_cast<uint32_t>(state_.gpr[kRax]);
    const bool sse_for_avx = (value & 6) != 4;
    if (static_cast<uint32_t>(state_.gpr[kRcx]) != 0 || state_.cpl != 0 || !(value & 1) || !sse_for_avx ||
        (value & ~vm_.cpuid().xcr0_supported()))
        return inject_exception(kGeneralProtection, true);
    state_.xcr0 = value;
    state_.dirty |= VcpuState::kXcr0;
    finish_instruction(next);
}

void Vcpu::on_exception() {
    const auto vector = static_cast<uint8_t>(state_.exit_code - 0x40);
    // #AC is intercepted so that a guest cannot hang the CPU in its delivery; once is harmless. #MC is the
    // host's affair.
    if (vector == kAlignmentCheck) return inject_exception(kAlignmentCheck, true);
    if (vector == kMachineCheck) return;
    inject_exception(vector);
}

}  // namespace bulkhead::vmm
