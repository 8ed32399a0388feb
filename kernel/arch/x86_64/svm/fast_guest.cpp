// SPDX-License-Identifier: Apache-2.0
// The two ends of a guest's turn: vcpu_run by a VMM that changed little, and an exit for the VMM. Compiled
// apart (meson.build): nobody's registers are live when these functions are called, so they keep none.
#include "kernel/arch/x86_64/fpu.hpp"
#include "kernel/arch/x86_64/svm/enter.hpp"
#include "kernel/arch/x86_64/svm/exits.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/core/fastpath.hpp"

// entry.S: to the VMM, whose run ended with Status::Ok.
extern "C" [[noreturn]] void leave_vcpu_run(bulkhead::core::Thread*, uint64_t reason);

namespace bulkhead::arch {
namespace svm {
namespace {

// After an exit, before anything else: the host's XCR0, and what entering has used up.
[[gnu::always_inline]] inline void settle(Area& area) {
    Guest& guest = area.guest;
    // Read, not remembered: an emulator that does not intercept XSETBV lets the guest change it.
    const uint64_t left = xgetbv_low(), host = features.xcr0;
    if (left != guest.xcr0) [[unlikely]]
        guest.xcr0 = left & host;
    if (left != host) xsetbv(host);
    area.vmcb.clean = clean::kAll;
    area.vmcb.event_injection = 0;
}

}  // namespace
}  // namespace svm

// By entry.S, with the lock held and all registers stored. Returns when nothing was done.
extern "C" void fast_vcpu_run(uint64_t address, uint64_t deadline, uint64_t, core::Thread* t) {
    CpuLocal& cpu = local();
    core::Vcpu* vcpu = core::fast_vcpu_run(*t, address, deadline);
    if (vcpu == nullptr) return;
    svm::Area& area = svm::area_of(*vcpu);
    svm::Guest& guest = area.guest;
    core::PageTable& root = *vcpu->guest_root;
    abi::VcpuState& page = *vcpu->page;
    if (!svm::prepared(cpu, guest, root) || !svm::load_plain(area, page))
        return svm::run_changed(cpu, *t, *vcpu);
    core::begin_run(*t, *vcpu);
    fpu_save(t->fpu());  // user mode ran: the registers hold the thread's
    fpu_load(guest.fpu);
    cpu.guest_fpu = guest.fpu;
    svm::enter(cpu, guest, page, root);
}

// By svm_enter, on a fresh stack, after #VMEXIT. The thread is still the loaded one and its guest what it
// was: whoever would change that stops this CPU first, which it notices only when it waits for the lock.
extern "C" UserContext* svm_exited(CpuLocal* cpu) {
    core::Thread& thread = *cpu->loaded;
    core::Vcpu& vcpu = *thread.guest;
    svm::Area& area = svm::area_of(vcpu);
    svm::settle(area);
    __atomic_store_n(&cpu->svm.guest_root, nullptr, __ATOMIC_RELEASE);
    const uint32_t code = svm::exit_code(area.vmcb);
    abi::VcpuState& page = *vcpu.page;
    if (code >= svm::kExitCodes || !svm::kExits[code].plain ||
        (svm::once(page.want) & svm::kOtherGroups) != 0 || area.guest.debug_live != 0 ||
        !kernel_lock.try_take()) [[unlikely]]
        return svm::exited_generally(*cpu);

    svm::save_control(area, page);
    const abi::ExitReason reason = svm::save_table_exit(area, page, code, svm::machine_limits);
    if (thread.timed != 0 || cpu->core.need_schedule != 0) [[unlikely]]
        return svm::run_ended(*cpu, thread, reason);
    core::end_run(thread, vcpu);
    fpu_save(area.guest.fpu);
    fpu_load(thread.fpu());
    cpu->guest_fpu = nullptr;
    unlock_kernel();
    leave_vcpu_run(&thread, static_cast<uint64_t>(reason));
}

}  // namespace bulkhead::arch
