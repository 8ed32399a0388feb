// SPDX-License-Identifier: Apache-2.0
// The world switch alone: a guest of two instructions (CPUID; JMP) in real mode, whose VMM only adds 2 to
// RIP.
#include <cstring>

#include "abi/vcpu.hpp"
#include "test/bench/measure.hpp"
#include "test/bench/stage.hpp"

namespace bulkhead::bench {

namespace {

using abi::ObjectType;
using abi::VcpuState;

constexpr uint64_t kGuestCode = 0x1000;

// The state after reset (APM vol. 2, 14.1.3), but for CS:IP.
void write_reset_state(VcpuState& s) {
    s.rip = kGuestCode;
    s.rflags = 2;
    s.cr0 = 0x6000'0010;
    s.pat = 0x0007'0406'0007'0406;
    const abi::SegmentState data{0, 0x093, 0xffff, 0}, code{0, 0x09b, 0xffff, 0};
    s.es = s.ss = s.ds = s.fs = s.gs = data;
    s.cs = code;
    s.ldtr = {0, 0x082, 0xffff, 0};
    s.tr = {0, 0x08b, 0xffff, 0};
    s.gdtr = s.idtr = {0, 0, 0xffff, 0};
    s.dr6 = 0xffff'0ff0;
    s.dr7 = 0x400;
    s.xcr0 = 1;
    s.dirty = VcpuState::kAllGroups;
}

// Only for making objects: a Side that never runs.
class Guest {
  public:
    Guest() : side_{{.own_space = true}} {
        root_ = side_.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, 4));
        for (unsigned level = 3; level >= 1; --level) {
            const CapAddr table =
                side_.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, level));
            stage::require(sys::table_map(root_, table, 0), "mapping a guest's page table");
        }
        CapAddr frame;
        auto* code = static_cast<std::byte*>(side_.page(stage::Side::kShared, abi::map::kRead, &frame));
        const unsigned char instructions[] = {0x0f, 0xa2, 0xeb, 0xfc};  // again: cpuid; jmp again
        std::memcpy(code, instructions, sizeof instructions);
        const CapAddr copy = stage::machine().env.cspace.slots().allocate().value_or(CapAddr{});
        stage::require(sys::cap_copy(copy, frame, abi::rights::kAll), "copying the guest's page");
        stage::require(sys::frame_map(root_, copy, kGuestCode, abi::map::kRead | abi::map::kExecute),
                       "mapping the guest's page");
        CapAddr page;
        state_ = static_cast<VcpuState*>(
            side_.page(stage::Side::kShared + abi::kPageSize, abi::map::kRead | abi::map::kWrite, &page));
        // A copy in the root CNode, where a VMM has it.
        auto vcpu =
            stage::machine().env.cspace.copy<cap::Vcpu>(side_.make(ObjectType::Vcpu), abi::rights::kAll);
        if (!vcpu) stage::fail("copying the vCPU's capability");
        vcpu_ = vcpu->address();
        here_ = std::move(*vcpu);
        stage::require(sys::vcpu_set(vcpu_, abi::VcpuSlot::StatePage, page), "the vCPU's state page");
        stage::require(sys::vcpu_set(vcpu_, abi::VcpuSlot::GuestRoot, root_), "the vCPU's memory");
        write_reset_state(*state_);
    }
    CapAddr vcpu() const { return vcpu_; }
    volatile VcpuState& state() { return *state_; }

  private:
    stage::Side side_;
    CapAddr root_, vcpu_;
    cap::Cap<cap::Vcpu> here_;
    VcpuState* state_;
};

}  // namespace

void vcpu_benchmarks() {
    if (stage::machine().env.kernel.virt_kind == 0) {
        cap::log_line("kernel_bench: the CPU offers no virtualization; kernel.vm_exit_to_vmm is left out");
        return;
    }
    Guest guest;
    const cap::Result first = sys::vcpu_run(guest.vcpu(), abi::kDeadlineNever);
    if (!first.ok() || first.r0 != static_cast<uint64_t>(abi::ExitReason::Cpuid))
        stage::fail("the guest did not exit by CPUID but: " + std::string{cap::describe(first.status)} +
                    ", " + std::to_string(first.r0));
    measure(
        "kernel.vm_exit_to_vmm", [&]() __attribute__((always_inline)) {
            guest.state().rip = guest.state().rip + 2;
            cap::drop(sys::vcpu_run(guest.vcpu(), abi::kDeadlineNever));
        });
}

}  // namespace bulkhead::bench
