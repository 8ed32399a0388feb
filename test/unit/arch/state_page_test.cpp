// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/svm/state_page.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <vector>

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/svm/bitmaps.hpp"
#include "kernel/arch/x86_64/svm/exits.hpp"

using namespace bulkhead;
using namespace bulkhead::arch;
using namespace bulkhead::arch::svm;
using abi::ExitReason;
using abi::Status;
using abi::VcpuState;

namespace {

const Limits kLimits{efer::kSce | efer::kLme | efer::kNxe,
                     0x7ff | cr4::kSmep | cr4::kOsXsave,
                     7,
                     (uint64_t{1} << 48) - 1,
                     0xf3,
                     ~uint64_t{0},
                     true,
                     true};

struct Fixture {
    std::unique_ptr<Area> area{std::make_unique<Area>()};
    std::unique_ptr<VcpuState> page{std::make_unique<VcpuState>()};
    uint64_t field = 0;

    Fixture() {
        init_area(*area, 0x5000, 0x6000, 0xa000);
        page->cr0 = 0x10;
        page->pat = 0x0007040600070406;
        page->xcr0 = 1;
        page->dr6 = 0xffff0ff0;
        page->dr7 = 0x400;
        page->dirty = VcpuState::kAllGroups;
    }
    Status load() { return load_state(*area, *page, kLimits, &field); }
    void refused(size_t offset) {
        const Vmcb before = area->vmcb;
        REQUIRE(load() == Status::VcpuInvalid);
        REQUIRE(field == offset);
        REQUIRE(std::memcmp(&before, &area->vmcb, sizeof(before)) == 0);
    }
};

}  // namespace

TEST_CASE("state page: what protects the host stays on, whatever the VMM writes") {
    Fixture f;
    f.page->flags = ~uint32_t{VcpuState::kSyncOnly};
    f.page->want_window = ~0u;
    f.page->interrupt_shadow = ~0u;
    f.page->tsc_offset = ~uint64_t{0};
    REQUIRE(f.load() == Status::Ok);
    const Vmcb& v = f.area->vmcb;
    constexpr uint32_t kMust1 = intercept1::kIntr | intercept1::kNmi | intercept1::kInit | intercept1::kIo |
                                intercept1::kMsr | intercept1::kShutdown | intercept1::kInvlpga |
                                intercept1::kCpuid | intercept1::kHlt;
    REQUIRE((v.intercepts1 & kMust1) == kMust1);
    REQUIRE((v.intercepts2 & 0x3f7f) ==
            (0x3f7f & ~0x180u));  // all SVM instructions, WBINVD, MONITOR, MWAIT, XSETBV
    REQUIRE((v.efer & efer::kSvme) != 0);
    REQUIRE(v.nested_control == 1);
    REQUIRE(v.iopm == 0x6000);
    REQUIRE(v.msrpm == 0xa000);
    REQUIRE((v.interrupt_control & kInterruptMasking) != 0);
    REQUIRE(v.interrupt_shadow == 1);
    REQUIRE((v.exceptions & (1u << 18)) != 0);
    REQUIRE(f.page->dirty == 0);
    REQUIRE((f.page->flags & VcpuState::kFlushTlb) == 0);
    REQUIRE(f.area->guest.flush == 1);
}

TEST_CASE("state page: refused values name their field and change nothing") {
    SECTION("cr0: caches off without CD") {
        Fixture f;
        f.page->cr0 = cr0::kNw;
        f.refused(offsetof(VcpuState, cr0));
    }
    SECTION("cr0: paging without protection") {
        Fixture f;
        f.page->cr0 = cr0::kPg;
        f.refused(offsetof(VcpuState, cr0));
    }
    SECTION("cr0: upper half") {
        Fixture f;
        f.page->cr0 = uint64_t{1} << 32;
        f.refused(offsetof(VcpuState, cr0));
    }
    SECTION("cr4: what the host lacks") {
        Fixture f;
        f.page->cr4 = cr4::kSmap;
        f.refused(offsetof(VcpuState, cr4));
    }
    SECTION("cr4: long mode without PAE") {
        Fixture f;
        f.page->cr0 = cr0::kPg | cr0::kPe;
        f.page->efer = efer::kLme;
        f.refused(offsetof(VcpuState, cr4));
    }
    SECTION("efer: unknown bits") {
        Fixture f;
        f.page->efer = 1 << 13;
        f.refused(offsetof(VcpuState, efer));
    }
    SECTION("cr3: beyond physical memory") {
        Fixture f;
        f.page->cr3 = uint64_t{1} << 60;
        f.refused(offsetof(VcpuState, cr3));
    }
    SECTION("cs: 64-bit and 32-bit at once") {
        Fixture f;
        f.page->cr0 = cr0::kPg | cr0::kPe;
        f.page->cr4 = cr4::kPae;
        f.page->efer = efer::kLme;
        f.page->cs.attributes = 0xe9b;
        f.refused(offsetof(VcpuState, cs));
    }
    SECTION("cs: the same in two steps") {
        Fixture f;
        f.page->cs.attributes = 0xe9b;
        REQUIRE(f.load() == Status::Ok);
        f.page->cr0 = cr0::kPg | cr0::kPe;
        f.page->cr4 = cr4::kPae;
        f.page->efer = efer::kLme;
        f.page->dirty = VcpuState::kControl;
        f.refused(offsetof(VcpuState, cs));
    }
    SECTION("pat: reserved type") {
        Fixture f;
        f.page->pat = 2;
        f.refused(offsetof(VcpuState, pat));
    }
    SECTION("dr7: upper half") {
        Fixture f;
        f.page->dr7 = uint64_t{1} << 40;
        f.refused(offsetof(VcpuState, dr7));
    }
    SECTION("xcr0: AVX without SSE") {
        Fixture f;
        f.page->xcr0 = 5;
        f.refused(offsetof(VcpuState, xcr0));
    }
    SECTION("xcr0: not allowed") {
        Fixture f;
        f.page->xcr0 = 0x203;
        f.refused(offsetof(VcpuState, xcr0));
    }
    SECTION("inject: reserved type") {
        Fixture f;
        f.page->inject = 0x80000120;
        f.refused(offsetof(VcpuState, inject));
    }
    SECTION("inject: exception 2") {
        Fixture f;
        f.page->inject = 0x80000302;
        f.refused(offsetof(VcpuState, inject));
    }
    SECTION("inject: exception beyond 31") {
        Fixture f;
        f.page->inject = 0x80000340;
        f.refused(offsetof(VcpuState, inject));
    }
    SECTION("inject: interrupt with an error code") {
        Fixture f;
        f.page->inject = 0x80000820;
        f.refused(offsetof(VcpuState, inject));
    }
}

TEST_CASE("state page: LMA follows LME and paging; SVME is hidden") {
    Fixture f;
    f.page->cr0 = cr0::kPg | cr0::kPe;
    f.page->cr4 = cr4::kPae;
    f.page->efer = efer::kLme;
    REQUIRE(f.load() == Status::Ok);
    REQUIRE((f.area->vmcb.efer & efer::kLma) != 0);
    f.page->cr0 = cr0::kPe;
    f.page->efer = efer::kLme | efer::kLma;
    f.page->dirty = VcpuState::kControl;
    REQUIRE(f.load() == Status::Ok);
    REQUIRE((f.area->vmcb.efer & efer::kLma) == 0);
    save_state(*f.area, *f.page, 0);
    REQUIRE((f.page->efer & efer::kSvme) == 0);
}

TEST_CASE("state page: only dirty groups are loaded, and their clean bits cleared") {
    Fixture f;
    REQUIRE(f.load() == Status::Ok);
    f.area->vmcb.clean = clean::kAll;
    f.page->cs.base = 0x1234;
    f.page->cr3 = 0x7000;
    f.page->dirty = VcpuState::kControl;
    REQUIRE(f.load() == Status::Ok);
    REQUIRE(f.area->vmcb.cs.base == 0);
    REQUIRE(f.area->vmcb.cr3 == 0x7000);
    REQUIRE(f.area->vmcb.clean == (clean::kAll & ~(clean::kControlRegisters | clean::kCr2 | clean::kNested)));
    f.area->vmcb.clean = clean::kAll;
    f.page->dirty = VcpuState::kSegments;
    f.page->ss.attributes = 0xf3;
    REQUIRE(f.load() == Status::Ok);
    REQUIRE(f.area->vmcb.cs.base == 0x1234);
    REQUIRE(f.area->vmcb.cpl == 3);
    REQUIRE(f.area->vmcb.clean == (clean::kAll & ~(clean::kSegments | clean::kTables)));
    f.area->vmcb.clean = clean::kAll;
    f.page->want_window = 1;
    REQUIRE(f.load() == Status::Ok);
    REQUIRE(f.area->vmcb.clean == (clean::kAll & ~(clean::kTpr | clean::kIntercepts)));
    f.area->vmcb.clean = clean::kAll;
    REQUIRE(f.load() == Status::Ok);
    REQUIRE(f.area->vmcb.clean == clean::kAll);
}

TEST_CASE("state page: a VMM that changed only registers is served without looking at the rest") {
    Fixture f;
    REQUIRE_FALSE(load_plain(*f.area, *f.page));  // everything is dirty
    REQUIRE(f.load() == Status::Ok);
    f.area->vmcb.clean = clean::kAll;
    f.page->rip = 0x1000;
    f.page->gpr[0] = 1;
    f.page->gpr[4] = 2;
    f.page->rflags = ~uint64_t{0};
    f.page->interrupt_shadow = ~0u;
    f.page->cr3 = 0x7000;  // not marked: not loaded
    REQUIRE(load_plain(*f.area, *f.page));
    const Vmcb& v = f.area->vmcb;
    REQUIRE((v.rip == 0x1000 && v.rax == 1 && v.rsp == 2));
    REQUIRE(v.rflags == (0x3f7fd7 | 2));
    REQUIRE(v.interrupt_shadow == 1);
    REQUIRE(v.cr3 == 0);
    REQUIRE(v.clean == clean::kAll);

    const auto not_plain = [&] {
        const Vmcb before = f.area->vmcb;
        REQUIRE_FALSE(load_plain(*f.area, *f.page));
        REQUIRE(std::memcmp(&before, &f.area->vmcb, sizeof before) == 0);
        REQUIRE(f.load() == Status::Ok);
        REQUIRE(load_plain(*f.area, *f.page));
    };
    f.page->dirty = VcpuState::kControl;
    not_plain();
    f.page->inject = 0x80000021;
    not_plain();
    f.page->tsc_offset = 5;
    not_plain();
    f.page->want_window = 1;
    not_plain();
    f.page->flags = VcpuState::kPauseExits;
    not_plain();
    f.area->guest.key = 7;
    f.page->flags = VcpuState::kPauseExits | VcpuState::kFlushTlb;
    not_plain();
    REQUIRE((f.area->guest.flush == 1 && f.area->guest.key == 0));
    f.page->flags = VcpuState::kPauseExits | VcpuState::kSyncOnly;  // stays until the kernel has done it
    REQUIRE_FALSE(load_plain(*f.area, *f.page));
    REQUIRE(f.load() == Status::Ok);
    REQUIRE_FALSE(load_plain(*f.area, *f.page));
}

TEST_CASE("state page: what is saved can be loaded again") {
    Fixture f;
    f.page->gs = {8, 0xc93, 0xfffff, 0xffff888000000000};
    f.page->lstar = 0xffffffff81000000;
    f.page->tsc_aux = 3;
    f.page->rip = 0x1000;
    f.page->gpr[0] = 1;
    f.page->gpr[4] = 2;
    REQUIRE(f.load() == Status::Ok);
    VcpuState out{};
    save_state(*f.area, out, VcpuState::kAllGroups);
    REQUIRE(out.valid == VcpuState::kAllGroups);
    REQUIRE(out.gs.base == f.page->gs.base);
    REQUIRE(out.gs.attributes == 0xc93);
    REQUIRE(out.lstar == f.page->lstar);
    REQUIRE(out.tsc_aux == 3);
    REQUIRE(out.gpr[0] == 1);
    REQUIRE(out.gpr[4] == 2);
    REQUIRE(out.dr7 == 0x400);
    save_state(*f.area, out, VcpuState::kMsrs);
    REQUIRE(out.valid == (VcpuState::kControl | VcpuState::kMsrs));
}

TEST_CASE("state page: exits are told in the VMM's terms") {
    Fixture f;
    Vmcb& v = f.area->vmcb;
    v.exit_code = exit::kIo;
    v.exit_info1 = (uint64_t{0x3f8} << 16) | (2 << 7) | (1 << 5) | (1 << 2) | (1 << 3) |
                   1;  // rep insw, 32-bit addresses
    v.exit_info2 = 0x1234;
    save_exit(*f.area, *f.page, kLimits);
    REQUIRE(f.page->reason == ExitReason::Io);
    REQUIRE(f.page->io_port == 0x3f8);
    REQUIRE(f.page->io_bytes == 2);
    REQUIRE(f.page->io_address_bytes == 4);
    REQUIRE((f.page->io_in && f.page->io_string && f.page->io_rep));
    REQUIRE(f.page->next_rip == 0x1234);

    v.exit_code = exit::kNestedPageFault;
    v.exit_info1 = 0x100000006;
    v.exit_info2 = 0xfee00000;
    v.next_rip = 0x9999;  // garbage here on some CPUs
    v.fetched_bytes = 15;
    save_exit(*f.area, *f.page, kLimits);
    REQUIRE(f.page->reason == ExitReason::NestedFault);
    REQUIRE(f.page->guest_physical == 0xfee00000);
    REQUIRE(f.page->fault_flags == 0x100000006);
    REQUIRE(f.page->next_rip == 0);
    REQUIRE(f.page->fetched_bytes == 15);

    v.exit_code = 0x00000000ffffffff;  // VMEXIT_INVALID as emulators store it
    save_exit(*f.area, *f.page, kLimits);
    REQUIRE(f.page->reason == ExitReason::Other);
    REQUIRE(f.page->exit_code == 0xffffffff);

    v.exit_code = exit::kMsr;
    v.exit_info1 = 1;
    save_exit(*f.area, *f.page, kLimits);
    REQUIRE(f.page->reason == ExitReason::MsrWrite);
    v.exit_info1 = 0;
    v.next_rip = 0x4321;
    REQUIRE(save_exit(*f.area, *f.page, kLimits) == ExitReason::MsrRead);
    REQUIRE(f.page->next_rip == 0x4321);
    Limits no_nrips = kLimits;
    no_nrips.next_rip = 0;
    v.exit_code = exit::kCpuid;
    REQUIRE(save_exit(*f.area, *f.page, no_nrips) == ExitReason::Cpuid);
    REQUIRE(f.page->next_rip == 0);
    for (const uint32_t code :
         {exit::kIntr, exit::kNmi, exit::kVintr, exit::kException + 1, exit::kDr0Read, exit::kIo, exit::kMsr})
        REQUIRE_FALSE(kExits[code].plain);  // they need more than the table
    v.exit_code = exit::kException + 17;
    save_exit(*f.area, *f.page, kLimits);
    REQUIRE(f.page->reason == ExitReason::Exception);
}

TEST_CASE(
    "state page: an event that an exit interrupted is delivered again, unless its instruction raises it "
    "again") {
    Vmcb v{};
    v.exit_interrupt_info = 0x80000b0e | (uint64_t{0x2} << 32);  // #PF with error code
    requeue_interrupted_event(v);
    REQUIRE(v.event_injection == v.exit_interrupt_info);
    v.exit_interrupt_info = 0x80000021;  // external interrupt
    requeue_interrupted_event(v);
    REQUIRE(v.event_injection == 0x80000021);
    for (const uint64_t again :
         {0x80000480u, 0x80000303u, 0x80000304u, 0x00000021u}) {  // INT 0x80, INT3, INTO, nothing
        v.exit_interrupt_info = again;
        requeue_interrupted_event(v);
        REQUIRE(v.event_injection == 0);
    }
}

TEST_CASE("state page: only an external interrupt counts as one that VMRUN injects") {
    Vmcb v{};
    for (const uint64_t interrupt : {0x800000f3u, 0x80000021u}) {
        v.event_injection = interrupt;
        REQUIRE(injects_interrupt(v));
    }
    for (const uint64_t other :
         {0x0u, 0xf3u, 0x80000202u, 0x80000b0eu, 0x80000480u}) {  // none, NMI, #PF, INT
        v.event_injection = other;
        REQUIRE_FALSE(injects_interrupt(v));
    }
}

TEST_CASE("permission maps: everything exits but the guest's own system-call and segment MSRs") {
    std::vector<uint8_t> iopm(kIopmBytes), msrpm(kMsrpmBytes);
    REQUIRE_FALSE(bitmaps_safe(iopm.data(), msrpm.data()));
    fill_bitmaps(iopm.data(), msrpm.data());
    REQUIRE(bitmaps_safe(iopm.data(), msrpm.data()));
    unsigned open = 0;
    for (const uint8_t b : msrpm) open += 8u - static_cast<unsigned>(__builtin_popcount(b));
    REQUIRE(open == 20);
    const auto bits = [&](uint32_t at) { return (msrpm[at / 4] >> (at % 4 * 2)) & 3; };
    REQUIRE(bits(0x174) == 0);
    REQUIRE(bits(0x10) == 3);
    REQUIRE(bits(0x2000 + 0x80) == 3);   // EFER
    REQUIRE(bits(0x2000 + 0x82) == 0);   // LSTAR
    REQUIRE(bits(0x2000 + 0x103) == 3);  // TSC_AUX
    iopm[0x42 / 8] &= static_cast<uint8_t>(~(1u << (0x42 % 8)));
    REQUIRE_FALSE(bitmaps_safe(iopm.data(), msrpm.data()));
}
