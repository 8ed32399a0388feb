// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/svm/svm.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/fpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/lock.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/svm/bitmaps.hpp"
#include "kernel/arch/x86_64/svm/enter.hpp"
#include "kernel/arch/x86_64/svm/exits.hpp"
#include "kernel/arch/x86_64/switch.hpp"
#include "kernel/core/kernel.hpp"
#include "kernel/core/page_table.hpp"
#include "kernel/core/thread.hpp"
#include "kernel/core/vcpu.hpp"

extern "C" [[noreturn]] void take_interrupts();

namespace bulkhead::arch {
namespace svm {

Limits machine_limits;

namespace {

alignas(4096) uint8_t iopm[kIopmBytes];
alignas(4096) uint8_t msrpm[kMsrpmBytes];
constexpr uint32_t kIbpbMsr = 0x49;
bool has_ibpb, wants_ibpb = true;
uint64_t last_key;  // of all Guest::key; kernel lock

uint64_t allowed_cr4() {
    constexpr uint64_t kAlways = 0x7ff;  // VME … OSXMMEXCPT
    uint64_t allowed = kAlways | cr4::kFsGsBase | cr4::kOsXsave;
    if (features.umip) allowed |= cr4::kUmip;
    if (features.pcid) allowed |= cr4::kPcide;
    if (features.smep) allowed |= cr4::kSmep;
    if (features.smap) allowed |= cr4::kSmap;
    return allowed;
}

template <unsigned N>
uint64_t read_dr() {
    uint64_t v;
    if constexpr (N == 0) asm volatile("mov %%dr0, %0" : "=r"(v));
    if constexpr (N == 1) asm volatile("mov %%dr1, %0" : "=r"(v));
    if constexpr (N == 2) asm volatile("mov %%dr2, %0" : "=r"(v));
    if constexpr (N == 3) asm volatile("mov %%dr3, %0" : "=r"(v));
    return v;
}

void load_debug_registers(const Guest& guest) {
    asm volatile("mov %0, %%dr0\n\tmov %1, %%dr1\n\tmov %2, %%dr2\n\tmov %3, %%dr3" ::"r"(guest.dr[0]),
                 "r"(guest.dr[1]), "r"(guest.dr[2]), "r"(guest.dr[3]));
}

// DR0-3 are not in the VMCB. They are the guest's own only while it uses them: the first access exits, and
// every entry from then on loads them (prepare); once no breakpoint is armed at an exit they are put away and
// the next access exits again.
void take_debug_registers(Area& area) {
    area.guest.debug_live = 1;
    area.guest.key = 0;
    area.vmcb.dr_read = area.vmcb.dr_write = 0;
    area.vmcb.clean &= ~clean::kIntercepts;
}
void put_debug_registers(Area& area) {
    Guest& guest = area.guest;
    guest.dr[0] = read_dr<0>();
    guest.dr[1] = read_dr<1>();
    guest.dr[2] = read_dr<2>();
    guest.dr[3] = read_dr<3>();
    guest.key = 0;
    if ((area.vmcb.dr7 & 0xff) != 0) return;
    guest.debug_live = 0;
    area.vmcb.dr_read = area.vmcb.dr_write = 0xf;
    area.vmcb.clean &= ~clean::kIntercepts;
}

void prepare_asid(CpuLocal& cpu, Area& area, core::PageTable& root) {
    Guest& guest = area.guest;
    Vmcb& vmcb = area.vmcb;
    const uint64_t epoch = epoch_of(root);
    const uint64_t nested = direct_physical(root.entries());
    if (vmcb.nested_cr3 != nested) {
        vmcb.nested_cr3 = nested;
        vmcb.clean &= ~clean::kNested;
        guest.flush = 1;
    }
    if (guest.flush == 0 && cpu.svm.asids.current(guest.asid, epoch)) return;
    guest.flush = 0;
    if (cpu.svm.asids.take(guest.asid, epoch) == AsidFlush::All) vmcb.tlb_control = kTlbFlushAll;
    ++cpu.counters.tlb;
    vmcb.asid = guest.asid.asid;
    vmcb.clean &= ~clean::kAsid;
}

// What must be right in this CPU for this guest, beside the VMCB's own state.
[[gnu::noinline]] void prepare(CpuLocal& cpu, Area& area, core::PageTable& root, uint64_t tag) {
    Guest& guest = area.guest;
    root.cpus |= cpu.bit;
    area.vmcb.tlb_control = kTlbNothing;
    prepare_asid(cpu, area, root);
    if (guest.last_cpu != cpu.core.id + 1) {
        guest.last_cpu = cpu.core.id + 1;
        area.vmcb.clean = 0;  // what this CPU may have cached of this VMCB is old (APM 15.15.1)
    }
    if (cpu.svm.last_tag != tag) {
        cpu.svm.last_tag = tag;
        if (has_ibpb) {
            wrmsr(kIbpbMsr, 1);  // another domain's branches shall not steer this guest's
            ++cpu.counters.wrmsr;
        }
    }
    if (features.rdtscp && cpu.svm.tsc_aux != guest.tsc_aux) {
        cpu.svm.tsc_aux = guest.tsc_aux;
        wrmsr(msr::kTscAux, guest.tsc_aux);
        ++cpu.counters.wrmsr;
    }
    if (guest.debug_live != 0) load_debug_registers(guest);
    cpu.svm.key = ++last_key;
    guest.key = area.vmcb.tlb_control == kTlbNothing ? last_key : 0;  // a flush is for this entry only
}

// QEMU's TCG (to 7.2 at least) remembers an external interrupt that VMRUN injected until the next #VMEXIT or
// exception, and when it happens to leave its loop before that, delivers it once more: at any instruction,
// whatever IF says. A guest's handler then runs inside itself and waits for a lock that it holds. So an
// interrupt of the host's follows: the #VMEXIT for it comes before the guest's first instruction.
inline void make_tcg_forget(CpuLocal& cpu, const Vmcb& vmcb) {
    if (vmcb.event_injection != 0 && features.tcg && injects_interrupt(vmcb)) [[unlikely]]
        lapic::send_vector(cpu.apic_id, kVectorMailbox);
}

enum class Next { Interrupts, Again, Vmm };

Next sort_exit(Area& area) {
    Vmcb& vmcb = area.vmcb;
    const uint32_t code = exit_code(vmcb);
    if (code > exit::kVintr) [[likely]]
        return Next::Vmm;
    switch (code) {
        case exit::kIntr:
        case exit::kNmi:  // taken already, at STGI
        case exit::kSmi:
        case exit::kInit: requeue_interrupted_event(vmcb); return Next::Interrupts;
        case exit::kException + 18: panic("machine check while a guest ran");
        case exit::kException + 1:  // let it happen, having let the host breathe
            vmcb.event_injection = event::kValid | (uint64_t{event::kException} << 8) | 1;
            return Next::Again;
        case exit::kVintr:
            // The window is open; the virtual interrupt was only a bell (emulators leave V_IRQ set).
            vmcb.interrupt_control &= ~(kVirtualInterrupt | kIgnoreTpr);
            vmcb.intercepts1 &= ~intercept1::kVintr;
            area.guest.controls &= ~uint64_t{0xffff'ffff};  // want_window
            vmcb.clean &= ~(clean::kTpr | clean::kIntercepts);
            return Next::Vmm;
        default: break;
    }
    if ((code >= exit::kDr0Read && code < exit::kDr0Read + 4) ||
        (code >= exit::kDr0Write && code < exit::kDr0Write + 4)) {
        requeue_interrupted_event(vmcb);
        take_debug_registers(area);
        return Next::Again;
    }
    return Next::Vmm;
}

}  // namespace

void use_ibpb(bool wanted) {
    wants_ibpb = wanted;
}

void setup() {
    fill_bitmaps(iopm, msrpm);
    if (!bitmaps_safe(iopm, msrpm)) panic("the guests' permission maps are wrong");
    machine_limits.efer = efer::kSce | efer::kLme | efer::kNxe;
    const CpuidResult extended = cpuid(0x80000001);
    if ((extended.edx & (1u << 25)) != 0) machine_limits.efer |= 1 << 14;  // FFXSR
    machine_limits.cr4 = allowed_cr4();
    machine_limits.xcr0 = features.xcr0;
    machine_limits.cr3 = (uint64_t{1} << features.physical_bits) - 1;
    machine_limits.pat_types = 0xf3;  // UC WC WT WP WB UC-
    machine_limits.next_rip = features.nrips ? ~uint64_t{0} : 0;
    machine_limits.decode_assists = features.decode_assists;
    machine_limits.pause_filter = features.pause_filter;
    has_ibpb = wants_ibpb && cpuid(0x80000000).eax >= 0x80000008 && (cpuid(0x80000008).ebx & (1u << 12)) != 0;
}

void enable(CpuLocal& cpu, uint64_t host_pages) {
    cpu.svm.save_area = host_pages;
    cpu.host_vmcb = host_pages + abi::kPageSize;
    cpu.svm.asids.init(cpu.core.id, features.asids);
    cpu.svm.tsc_aux = ~uint64_t{0};
    cpu.svm.key = ~uint64_t{0};  // no Guest's
    wrmsr(msr::kEfer, rdmsr(msr::kEfer) | efer::kSvme);
    wrmsr(msr::kVmHsavePa, cpu.svm.save_area);
}

void run_changed(CpuLocal& cpu, core::Thread& thread, core::Vcpu& vcpu) {
    if ((once(vcpu.page->flags) & abi::VcpuState::kSyncOnly) != 0) return;
    uint64_t field = 0;
    if (load_state(area_of(vcpu), *vcpu.page, machine_limits, &field) != abi::Status::Ok) return;
    core::begin_run(thread, vcpu);
    run(cpu, thread);
}

void run(CpuLocal& cpu, core::Thread& thread) {
    core::Vcpu& vcpu = *thread.guest;
    Area& area = area_of(vcpu);
    core::PageTable& root = *vcpu.guest_root;
    if (!prepared(cpu, area.guest, root)) prepare(cpu, area, root, vcpu.header.tag);
    fpu_switch(cpu, area.guest.fpu);
    make_tcg_forget(cpu, area.vmcb);
    enter(cpu, area.guest, *vcpu.page, root);
}

UserContext* exited_generally(CpuLocal& cpu) {
    core::Thread& thread = *cpu.loaded;
    Area& area = area_of(*thread.guest);
    if (area.guest.debug_live != 0) put_debug_registers(area);
    const Next next = sort_exit(area);
    if (next == Next::Interrupts) take_interrupts();
    if (!lock_kernel(cpu, EntryKind::Guest)) [[unlikely]] {
        // Stopped while it waited: the exit is not reported; entering again makes the same one.
        if (next == Next::Vmm) requeue_interrupted_event(area.vmcb);
        core::handle_resched(cpu.core);
    } else if (next == Next::Vmm) {
        abi::VcpuState& page = *thread.guest->page;
        save_state(area, page, wanted_groups(page));
        return run_ended(cpu, thread, save_exit(area, page, machine_limits));
    }
    return leave_kernel(cpu);
}

UserContext* run_ended(CpuLocal& cpu, core::Thread& thread, abi::ExitReason reason) {
    core::handle_vcpu_exit(cpu.core, *thread.guest, reason);
    return leave_kernel(cpu);
}

}  // namespace svm

bool vcpu_available() {
    return features.svm;
}

uint64_t vcpu_bytes() {
    return (sizeof(svm::Area) + features.xsave_bytes + abi::kPageSize - 1) & ~(abi::kPageSize - 1);
}

void vcpu_init(void* memory) {
    auto& area = *static_cast<svm::Area*>(memory);
    svm::init_area(area, virt_to_phys(memory).raw, virt_to_phys(svm::iopm).raw, virt_to_phys(svm::msrpm).raw);
    fpu_init(area.guest.fpu);
}

abi::Status vcpu_prepare(void* memory, abi::VcpuState& page, uint64_t* field) {
    return svm::load_state(*static_cast<svm::Area*>(memory), page, svm::machine_limits, field);
}

void vcpu_leave(void* memory, abi::VcpuState& page, abi::ExitReason reason) {
    auto& area = *static_cast<svm::Area*>(memory);
    // An event that waits for entry goes back to the VMM.
    area.vmcb.exit_interrupt_info = area.vmcb.event_injection;
    area.vmcb.event_injection = 0;
    svm::save_state(
        area, page,
        reason == abi::ExitReason::Synced ? abi::VcpuState::kAllGroups : svm::wanted_groups(page));
    page.reason = reason;
    page.exit_code = 0;
    page.next_rip = 0;
    page.fetched_bytes = 0;
    page.interrupted_event =
        (area.vmcb.exit_interrupt_info & svm::event::kValid) != 0 ? area.vmcb.exit_interrupt_info : 0;
    if (reason == abi::ExitReason::Synced) page.flags = page.flags & ~abi::VcpuState::kSyncOnly;
}

void vcpu_destroy(void*) {}

}  // namespace bulkhead::arch
