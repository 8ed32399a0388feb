// SPDX-License-Identifier: Apache-2.0
// A tiny fake guest that makes the hypercalls in the order in which Linux first uses them, and one exit of
// each kind.
#include <catch2/catch.hpp>

#include <random>
#include <thread>

#include "fake_guest.hpp"

using namespace bulkhead::vmm;
using namespace bulkhead::vmm::test;
using bulkhead::abi::ExitReason;
using bulkhead::abi::VcpuState;

namespace {

constexpr uint64_t kShared = 0x300000;
constexpr uint64_t external(uint8_t vector) {
    return vector | uint64_t{1} << 31;
}

void set_callback(FakeGuest& g, uint8_t vector = 0xf3) {
    xen_hvm_param_t p{DOMID_SELF, 0, HVM_PARAM_CALLBACK_IRQ, (uint64_t{2} << 56) | vector};
    REQUIRE(g.call_with(__HYPERVISOR_hvm_op, HVMOP_set_param, p) == 0);
}

void map_shared(FakeGuest& g) {
    xen_add_to_physmap_t a{DOMID_SELF, 0, XENMAPSPACE_shared_info, 0, kShared >> 12};
    REQUIRE(g.call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a) == 0);
}

}  // namespace

TEST_CASE("guest: the hypercalls of a two-vCPU boot, in Linux's order") {
    FakeGuest g{2};
    xen_feature_info_t features{0, 0};
    CHECK(g.call_with(__HYPERVISOR_xen_version, XENVER_get_features, features) == 0);
    CHECK(features.submap == 0x12305);
    map_shared(g);
    CHECK(g.get<uint32_t>(kShared + 0xc00) % 2 == 0);
    CHECK(g.get<uint32_t>(kShared + 0xc00) != 0);
    CHECK(g.get<uint32_t>(kShared + 0xc04) == 1'700'000'000);
    CHECK(g.get<uint32_t>(kShared + 0xc08) == 123);
    CHECK(g.call(__HYPERVISOR_hvm_op, 9, FakeGuest::kData) == -XEN_ENOSYS);
    CHECK(g.call(__HYPERVISOR_xen_version, XENVER_version) == 0x40011);
    CHECK(g.call(__HYPERVISOR_xen_version, XENVER_extraversion, FakeGuest::kData) == 0);
    CHECK(g.get<char>(FakeGuest::kData) == '.');

    for (unsigned cpu = 0; cpu < 2; ++cpu) {
        vcpu_register_vcpu_info_t r{0x301, 64 * cpu, 0};
        CHECK(g.vcpu_call(VCPUOP_register_vcpu_info, cpu, r) == 0);
        CHECK(g.vcpu_call(VCPUOP_register_vcpu_info, cpu, r) == -XEN_EINVAL);
        const auto info = g.get<vcpu_info_t>(0x301000 + 64 * cpu);
        CHECK(info.evtchn_upcall_pending == 1);
        CHECK(info.evtchn_pending_sel == ~0ull);
        CHECK(info.time.version != 0);
        CHECK(info.time.version % 2 == 0);
        CHECK(info.time.flags == 1);
        CHECK(info.time.tsc_timestamp == 1'000'000);
    }
    std::array<uint64_t, 4> fifo{};
    CHECK(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_init_control, fifo) == -XEN_ENOSYS);
    xen_hvm_evtchn_upcall_vector_t upcall{0, 0xf3};
    CHECK(g.call_with(__HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, upcall) == -XEN_ENOSYS);
    set_callback(g);
    xen_hvm_param_t p{DOMID_SELF, 0, HVM_PARAM_CONSOLE_EVTCHN, 0};
    CHECK(g.call_with(__HYPERVISOR_hvm_op, HVMOP_get_param, p) == 0);
    CHECK(p.value == g.vm->console_port());
    evtchn_send_t send{static_cast<evtchn_port_t>(p.value)};
    CHECK(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_send, send) == 0);
    CHECK(g.notified == std::vector<uint32_t>{kConsoleDevice});
    p = {DOMID_SELF, 0, HVM_PARAM_CONSOLE_PFN, 0};
    CHECK(g.call_with(__HYPERVISOR_hvm_op, HVMOP_get_param, p) == 0);
    CHECK(p.value == 0xfeffc);

    CHECK(g.call(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0) == 0);
    uint64_t area = 0x302010;
    CHECK(g.vcpu_call(VCPUOP_register_runstate_memory_area, 0, area) == 0);
    CHECK(g.vcpu_call(VCPUOP_register_vcpu_time_memory_area, 0, area) == 0);
    evtchn_bind_virq_t virq{VIRQ_TIMER, 0, 0};
    CHECK(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, virq) == 0);
    CHECK(virq.port > 0);
    CHECK(g.call(__HYPERVISOR_vcpu_op, VCPUOP_stop_singleshot_timer, 0) == 0);
    vcpu_set_singleshot_timer_t timer{5'000'000, 0};
    CHECK(g.vcpu_call(VCPUOP_set_singleshot_timer, 0, timer) == 0);
    g.turn();
    CHECK(g.cpus[0]->last_deadline == 1'000'000 + 5'000'000);
    CHECK(g.call(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag) == 0);
    evtchn_bind_ipi_t ipi{1, 0};
    CHECK(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ipi) == 0);
    evtchn_unmask_t unmask{ipi.port};
    CHECK(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, unmask) == 0);
    gnttab_query_size_t query{DOMID_SELF, 0, 0, 0};
    g.put(FakeGuest::kData, query);
    CHECK(g.call(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, FakeGuest::kData, 1) == 0);
    query = g.get<gnttab_query_size_t>(FakeGuest::kData);
    CHECK(query.status == GNTST_okay);
    CHECK(query.max_nr_frames == 64);
    gnttab_set_version_t version{1};
    g.put(FakeGuest::kData, version);
    CHECK(g.call(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, FakeGuest::kData, 1) == 0);

    // Highest index first, outside RAM, above 4 GiB.
    for (const unsigned index : {3u, 2u, 1u, 0u}) {
        xen_add_to_physmap_t a{DOMID_SELF, 0, XENMAPSPACE_grant_table, index, 0x107fff - index};
        CHECK(g.call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a) == 0);
    }
    CHECK(g.populated.size() == 4);
    CHECK(g.vm->grants().frame(0) != nullptr);
    CHECK(g.call(__HYPERVISOR_xen_version, XENVER_guest_handle, FakeGuest::kData) == 0);
    CHECK(g.get<uint8_t>(FakeGuest::kData + 15) == 15);
    evtchn_alloc_unbound_t unbound{DOMID_SELF, 0, 0};
    CHECK(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, unbound) == 0);
    CHECK(g.vm->run_state() == Vm::RunState::Running);
    CHECK(g.logged.empty());
}

TEST_CASE("guest: bad calls are refused without harm") {
    FakeGuest g;
    CHECK(g.call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, 0xdead0000) == -XEN_EFAULT);
    CHECK(g.call(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, ~0ull) == -XEN_EFAULT);
    CHECK(g.call(__HYPERVISOR_multicall) == -XEN_ENOSYS);
    CHECK(g.call(__HYPERVISOR_domctl) == -XEN_ENOSYS);
    CHECK(g.call(0x7fffffff) == -XEN_ENOSYS);
    CHECK(g.call(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 1) == -XEN_ENOENT);
    xen_add_to_physmap_t a{DOMID_SELF, 0, XENMAPSPACE_shared_info, 0, ~0ull};
    CHECK(g.call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a) == -XEN_ENOMEM);
    a = {3, 0, XENMAPSPACE_shared_info, 0, 0x300};
    CHECK(g.call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a) == -XEN_ESRCH);
    g.populate_limit = 0;
    a = {DOMID_SELF, 0, XENMAPSPACE_grant_table, 0, 0x107fff};
    CHECK(g.call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a) == -XEN_ENOMEM);
    a = {DOMID_SELF, 0, XENMAPSPACE_grant_table, 64, 0x107fff};
    CHECK(g.call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, a) == -XEN_EINVAL);
    vcpu_register_vcpu_info_t r{0x301, 4096 - 32, 0};
    CHECK(g.vcpu_call(VCPUOP_register_vcpu_info, 0, r) == -XEN_EINVAL);
    xen_hvm_param_t p{DOMID_SELF, 0, HVM_PARAM_STORE_PFN, 5};
    CHECK(g.call_with(__HYPERVISOR_hvm_op, HVMOP_set_param, p) == -XEN_EPERM);
    p.index = HVM_NR_PARAMS;
    CHECK(g.call_with(__HYPERVISOR_hvm_op, HVMOP_get_param, p) == -XEN_EINVAL);
    g.state().cpl = 3;
    CHECK(g.call(__HYPERVISOR_xen_version, XENVER_version) == -XEN_EPERM);
    g.state().cpl = 0;
    g.state().efer = 0;
    g.state().cr0 = 0x11;
    CHECK(g.call(__HYPERVISOR_xen_version, XENVER_version) == -XEN_ENOSYS);
    CHECK(g.logged.find("only 64-bit guests") != std::string::npos);
}

TEST_CASE("guest: the upcall is level-triggered from upcall_pending, and waits for the window") {
    FakeGuest g;
    map_shared(g);
    set_callback(g);
    evtchn_bind_ipi_t ipi{0, 0};
    REQUIRE(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ipi) == 0);
    g.state().rflags = 2;  // interrupts off
    g.vm->raise(ipi.port);
    g.turn();
    CHECK(g.cpus[0]->injected == 0);
    CHECK(g.cpus[0]->window);
    g.state().rflags = 0x202;
    g.state().interrupt_shadow = 1;
    g.turn();
    CHECK(g.cpus[0]->injected == 0);
    g.state().interrupt_shadow = 0;
    g.turn();
    CHECK(g.cpus[0]->injected == external(0xf3));
    CHECK_FALSE(g.cpus[0]->window);
    g.put<uint8_t>(kShared, 0);  // the handler's first act
    g.turn();
    CHECK(g.cpus[0]->injected == 0);
    CHECK_FALSE(g.cpus[0]->window);
}

TEST_CASE("guest: a past deadline fires, a future one at its time") {
    FakeGuest g;
    map_shared(g);
    set_callback(g);
    evtchn_bind_virq_t virq{VIRQ_TIMER, 0, 0};
    REQUIRE(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, virq) == 0);
    g.now += 10'000'000;
    vcpu_set_singleshot_timer_t timer{1, 0};
    REQUIRE(g.vcpu_call(VCPUOP_set_singleshot_timer, 0, timer) == 0);
    g.exit(ExitReason::Timeout, {});
    CHECK(g.vm->events().pending(virq.port));
    timer = {1, VCPU_SSHOTTMR_future};
    CHECK(g.vcpu_call(VCPUOP_set_singleshot_timer, 0, timer) == -XEN_ETIME);
}

TEST_CASE("guest: HLT sleeps until an event, and clears the interrupt shadow") {
    FakeGuest g;
    map_shared(g);
    set_callback(g);
    evtchn_bind_ipi_t ipi{0, 0};
    REQUIRE(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ipi) == 0);
    g.state().rip = FakeGuest::kCode;
    g.state().interrupt_shadow = 1;  // sti; hlt
    g.exit(ExitReason::Hlt, {0xf4});
    CHECK(g.state().rip == FakeGuest::kCode + 1);
    CHECK(g.state().interrupt_shadow == 0);
    g.cpus[0]->on_wait = [&] { CHECK(g.vcpu().activity() == Vcpu::Activity::Blocked); };
    const unsigned entries = g.cpus[0]->entries;
    g.turn();
    CHECK(g.cpus[0]->waits == 1);
    CHECK(g.cpus[0]->entries == entries);
    g.cpus[0]->on_wait = [&] { g.vm->raise(ipi.port); };
    g.turn();
    CHECK(g.cpus[0]->entries == entries + 1);
    CHECK(g.cpus[0]->injected == external(0xf3));
}

TEST_CASE("guest: all vCPUs halted with interrupts off is power-off") {
    FakeGuest g{2};
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
        CHECK(g.vm->run_state() == Vm::RunState::Running);
        g.state(cpu).rip = FakeGuest::kCode;
        g.state(cpu).rflags = 2;
        g.exit(ExitReason::Hlt, {0xf4}, cpu);
    }
    CHECK(g.vm->run_state() == Vm::RunState::Ended);
    CHECK(g.vm->report().reason == ExitReport::Poweroff);
    CHECK(g.changes == 1);
    CHECK_FALSE(g.vcpu().step());
}

TEST_CASE("guest: reboot, crash, suspend and resume by SCHEDOP_shutdown") {
    for (const auto& [code, reason] :
         {std::pair{SHUTDOWN_reboot, ExitReport::Reboot}, std::pair{SHUTDOWN_crash, ExitReport::Crash},
          std::pair{SHUTDOWN_watchdog, ExitReport::Watchdog}}) {
        FakeGuest g;
        sched_shutdown_t s{static_cast<unsigned>(code)};
        g.call_with(__HYPERVISOR_sched_op, SCHEDOP_shutdown, s);
        CHECK(g.vm->report().reason == reason);
    }
    for (const bool cancelled : {true, false}) {
        FakeGuest g;
        map_shared(g);
        sched_shutdown_t s{SHUTDOWN_suspend};
        g.call_with(__HYPERVISOR_sched_op, SCHEDOP_shutdown, s);
        CHECK(g.vm->run_state() == Vm::RunState::Suspended);
        const unsigned entries = g.cpus[0]->entries;
        g.turn();
        CHECK(g.cpus[0]->entries == entries);
        g.vm->resume(cancelled);
        g.turn();
        CHECK(g.cpus[0]->entries == entries + 1);
        CHECK(g.state().gpr[0] == (cancelled ? 1 : 0));
        CHECK(g.vm->events().has_shared_info() == cancelled);
    }
}

TEST_CASE("guest: an AP comes up by INIT and SIPI, and ignores the second SIPI") {
    FakeGuest g{2};
    g.vcpu(1).request(Vcpu::kInit);
    g.turn(1);
    CHECK(g.vcpu(1).activity() == Vcpu::Activity::Down);
    g.vcpu().lapic().write(0xf0, 0x1ff, 0);
    g.vcpu().lapic().write(0x310, 1u << 24, 0);
    g.vcpu().carry_out(g.vcpu().lapic().write(0x300, 0x69a, 0));
    const unsigned kicks = g.cpus[1]->kicks;
    CHECK(kicks > 0);
    g.turn(1);
    CHECK(g.state(1).cs.base == 0x9a000);
    CHECK(g.state(1).cs.selector == 0x9a00);
    CHECK(g.state(1).rip == 0);
    CHECK(g.state(1).cr0 == 0x60000010);
    CHECK(g.state(1).dirty == VcpuState::kAllGroups);
    g.state(1).rip = 0x42;
    g.vcpu(1).request(Vcpu::kSipi, 0x10);
    g.turn(1);
    CHECK(g.state(1).rip == 0x42);
}

TEST_CASE("guest: an interrupted delivery is repeated, but not a software interrupt") {
    FakeGuest g;
    g.cpus[0]->guest = [](VcpuState& s) {
        s.interrupted_event = external(0x61);
        return ExitReason::Notified;
    };
    g.turn();
    g.cpus[0]->guest = nullptr;
    g.turn();
    CHECK(g.cpus[0]->injected == external(0x61));
    for (const uint64_t soft : {external(0x80) | 4 << 8, external(3) | 3 << 8}) {
        g.cpus[0]->guest = [soft](VcpuState& s) {
            s.interrupted_event = soft;
            return ExitReason::Notified;
        };
        g.turn();
        g.cpus[0]->guest = nullptr;
        g.turn();
        CHECK(g.cpus[0]->injected == 0);
    }
}

TEST_CASE("guest: CPUID with prefixes, from the cache, and after the bytes changed") {
    FakeGuest g;
    const auto cpuid = [&](std::vector<uint8_t> code) {
        g.state().rip = FakeGuest::kCode;
        g.state().gpr[0] = 0x40000000;
        g.exit(ExitReason::Cpuid, std::move(code));
        CHECK(g.state().gpr[3] == 0x566e6558);
        return g.state().rip - FakeGuest::kCode;
    };
    CHECK(cpuid({0x0f, 0xa2}) == 2);
    CHECK(cpuid({0x0f, 0xa2}) == 2);
    CHECK(cpuid({0x66, 0x48, 0x0f, 0xa2}) == 4);
    CHECK(cpuid({0x0f, 0xa2}) == 2);
    // The bytes are no longer what exited: the guest runs again.
    g.state().rip = FakeGuest::kCode;
    g.exit(ExitReason::Cpuid, {0x90, 0x90});
    CHECK(g.state().rip == FakeGuest::kCode);
}

TEST_CASE("guest: RDMSR and WRMSR, and #GP with an error code for the unknown") {
    FakeGuest g;
    g.state().gpr[1] = 0x1b;
    g.exit(ExitReason::MsrRead, {0x0f, 0x32});
    CHECK(g.state().gpr[0] == 0xfee00900);
    const uint64_t rip = g.state().rip;
    g.state().gpr[1] = 0x12345;
    g.exit(ExitReason::MsrRead, {0x0f, 0x32});
    CHECK(g.state().rip == rip);
    CHECK(g.cpus[0]->injected == (external(13) | 3 << 8 | 1 << 11));
    g.state().gpr[1] = 0x40000000;
    g.state().gpr[0] = 0x5000;
    g.state().gpr[2] = 0;
    g.exit(ExitReason::MsrWrite, {0x0f, 0x30});
    CHECK(g.get<uint8_t>(0x5000 + 12 * 32) == 0xb8);
    CHECK(g.get<uint8_t>(0x5000 + 12 * 32 + 1) == 12);
    CHECK(g.get<uint8_t>(0x5000 + 12 * 32 + 8) == 0xc3);
}

TEST_CASE("guest: ports read ones, but for 0x42; strings fill memory") {
    FakeGuest g;
    const auto in = [&](uint16_t port, uint8_t bytes) {
        VcpuState& s = g.state();
        s.gpr[0] = 0x1122334455667788;
        g.cpus[0]->guest = [=](VcpuState& v) {
            v.io_port = port;
            v.io_bytes = bytes;
            v.io_in = 1;
            v.io_string = v.io_rep = 0;
            v.next_rip = v.rip + 1;
            return ExitReason::Io;
        };
        g.turn();
        return s.gpr[0];
    };
    CHECK(in(0x70, 1) == 0x11223344556677ff);
    CHECK(in(0x70, 2) == 0x112233445566ffff);
    CHECK(in(0xcf8, 4) == 0xffffffff);
    CHECK(in(0x42, 1) == 0x1122334455667700);
    g.state().gpr[1] = 3;
    g.state().gpr[7] = FakeGuest::kData;
    g.cpus[0]->guest = [](VcpuState& v) {
        v.io_port = 0x60;
        v.io_bytes = 2;
        v.io_in = v.io_string = v.io_rep = 1;
        v.io_address_bytes = 8;
        v.next_rip = v.rip + 3;
        return ExitReason::Io;
    };
    g.turn();
    CHECK(g.get<uint64_t>(FakeGuest::kData) == 0x0000ffffffffffff);
    CHECK(g.state().gpr[7] == FakeGuest::kData + 6);
    CHECK(g.state().gpr[1] == 0);
}

TEST_CASE("guest: the LAPIC page by MOV, and an instruction that cannot be emulated") {
    FakeGuest g;
    const auto fault = [&](uint64_t address, bool write, std::vector<uint8_t> code) {
        VcpuState& s = g.state();
        s.rip = FakeGuest::kCode;
        std::memcpy(g.ram(s.rip), code.data(), code.size());
        g.cpus[0]->guest = [=](VcpuState& v) {
            v.guest_physical = address;
            v.fault_flags = write ? 2 : 0;
            return ExitReason::NestedFault;
        };
        g.turn();
        g.cpus[0]->guest = nullptr;
    };
    g.state().gpr[0] = 0x1ff;
    fault(kLapicBase + 0xf0, true, {0x89, 0x87, 0xf0, 0, 0, 0});  // mov %eax,0xf0(%rdi)
    CHECK(g.state().rip == FakeGuest::kCode + 6);
    CHECK(g.vcpu().lapic().software_enabled());
    fault(kLapicBase + 0x30, false, {0x8b, 0x87, 0x30, 0, 0, 0});
    CHECK(g.state().gpr[0] == 0x50014);
    g.state().gpr[0] = 0;
    fault(kLapicBase + 0x30, false, {0x8b, 0x87, 0x30, 0, 0, 0});  // known by now, not decoded again
    CHECK(g.state().gpr[0] == 0x50014);
    CHECK(g.state().rip == FakeGuest::kCode + 6);
    for (int again = 0; again < 2; ++again) {
        fault(kLapicBase + 0x30, false, {0xa1, 0x30, 0x00, 0xe0, 0xfe, 0, 0, 0, 0});  // nine bytes long
        CHECK(g.state().gpr[0] == 0x50014);
        CHECK(g.state().rip == FakeGuest::kCode + 9);
        g.state().gpr[0] = 0;
    }
    fault(0xfed00000, false, {0x48, 0x8b, 0x07});
    CHECK(g.state().gpr[0] == ~0ull);
    g.state().gpr[0] = 0xf0;
    fault(kLapicBase + 0xf0, true, {0x09, 0x07});  // or %eax,(%rdi)
    CHECK(g.vcpu().lapic().software_enabled());
    fault(0xfed00000, true, {0x0f, 0xae, 0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});  // fxsave
    CHECK(g.vm->report().reason == ExitReport::Crash);
    CHECK(g.vm->report().text.find("vmm: guest: vcpu 0: cannot emulate 0f ae 07") == 0);
    CHECK(g.vm->report().text.find("at rip 0000000000100000") != std::string::npos);
    CHECK(g.logged.find("rax") != std::string::npos);
}

TEST_CASE("guest: after a quick exit a kick is seen at once, and the open window stands") {
    FakeGuest g;
    map_shared(g);
    set_callback(g);
    evtchn_bind_ipi_t ipi{0, 0};
    REQUIRE(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ipi) == 0);
    g.state().rflags = 2;
    g.vm->raise(ipi.port);
    g.state().rip = FakeGuest::kCode;
    g.exit(ExitReason::Cpuid, {0x0f, 0xa2});
    CHECK(g.cpus[0]->window);
    g.state().rflags = 0x202;
    g.state().rip = FakeGuest::kCode;
    g.exit(ExitReason::InterruptWindow, {});
    g.turn();
    CHECK(g.cpus[0]->injected == external(0xf3));
}

TEST_CASE("guest: an emulated instruction under TF ends with a single-step trap") {
    FakeGuest g;
    g.state().rflags = 0x302;
    g.exit(ExitReason::Wbinvd, {0x0f, 0x09});
    CHECK(g.state().rip == FakeGuest::kCode + 2);
    CHECK(g.state().inject == (external(1) | 3 << 8));
    CHECK((g.state().dr6 & 0x4000) != 0);
}

TEST_CASE("guest: random calls and exits harm nobody but the guest") {
    std::mt19937_64 random{20261123};
    const auto pick = [&](uint64_t n) { return random() % n; };
    for (unsigned round = 0; round < 40; ++round) {
        FakeGuest g{2};
        for (unsigned i = 0; i < 500 && g.vm->run_state() == Vm::RunState::Running; ++i) {
            const unsigned cpu = static_cast<unsigned>(pick(2));
            if (g.vcpu(cpu).activity() == Vcpu::Activity::Down) g.long_mode(cpu);
            VcpuState& s = g.state(cpu);
            for (uint64_t at = 0; at < 64; at += 8)
                g.put(FakeGuest::kData + at, pick(3) ? pick(70) : random());
            for (uint64_t& r : s.gpr)
                r = pick(3) == 0 ? random() : pick(2) ? FakeGuest::kData + pick(64) : pick(64);
            s.rip = FakeGuest::kCode;
            s.rflags = (random() & 0x8d5) | 2 | (pick(2) << 9);
            const unsigned kind = static_cast<unsigned>(pick(8));
            if (kind < 5) {
                constexpr uint64_t kCalls[] = {__HYPERVISOR_memory_op,      __HYPERVISOR_event_channel_op,
                                               __HYPERVISOR_vcpu_op,        __HYPERVISOR_hvm_op,
                                               __HYPERVISOR_grant_table_op, __HYPERVISOR_xen_version,
                                               __HYPERVISOR_vm_assist,      __HYPERVISOR_console_io};
                const uint64_t number = pick(20) ? kCalls[pick(std::size(kCalls))] : pick(64);
                if (number == __HYPERVISOR_sched_op) continue;  // ends or blocks; has tests of its own
                g.call(number, s.gpr[7], s.gpr[6], s.gpr[2], cpu);
            } else if (kind == 5) {
                s.guest_physical = pick(2) ? kLapicBase + pick(4096) : random() >> 12;
                s.fault_flags = pick(2) * 2;
                std::vector<uint8_t> code(15);
                for (uint8_t& byte : code) byte = static_cast<uint8_t>(random());
                constexpr uint8_t kMoves[] = {0x89, 0x8b, 0x88, 0xa4, 0xaa, 0x87, 0x0f, 0xc7};
                code[0] = kMoves[pick(std::size(kMoves))];
                g.exit(ExitReason::NestedFault, code, cpu);
            } else if (kind == 6) {
                s.gpr[1] = pick(2) ? 0x800 + pick(64) : random() >> pick(64);
                g.exit(pick(2) ? ExitReason::MsrRead : ExitReason::MsrWrite,
                       {0x0f, static_cast<uint8_t>(pick(2) ? 0x32 : 0x30)}, cpu);
            } else {
                g.now += random() >> (24 + pick(40));
                g.exit(pick(2) ? ExitReason::Timeout : ExitReason::Cpuid, {0x0f, 0xa2}, cpu);
            }
        }
    }
    SUCCEED();
}

TEST_CASE("guest: a triple fault and XSETBV") {
    FakeGuest g;
    g.state().gpr[0] = 3;
    g.state().gpr[1] = g.state().gpr[2] = 0;
    g.exit(ExitReason::Xsetbv, {0x0f, 0x01, 0xd1});
    CHECK(g.state().xcr0 == 3);
    g.state().gpr[0] = 0x200;
    g.exit(ExitReason::Xsetbv, {0x0f, 0x01, 0xd1});
    CHECK((g.state().inject & 0xff) == 13);
    g.exit(ExitReason::Monitor, {});
    CHECK((g.state().inject & 0xff) == 6);
    g.exit(ExitReason::Shutdown, {});
    CHECK(g.vm->report().reason == ExitReport::Crash);
    CHECK(g.vm->report().text == "vmm: guest: vcpu 0: triple fault");
}

TEST_CASE("guest: a vCPU that yields does not keep the others out of its VM") {
    FakeGuest g;
    bool free = false;
    g.cpus[0]->on_yield = [&] {
        std::thread{[&] {  // another one: who holds a mutex may not try it
            free = g.vm->lock().try_lock();
            if (free) g.vm->lock().unlock();
        }}
            .join();
    };
    CHECK(g.call(__HYPERVISOR_sched_op, SCHEDOP_yield) == 0);
    CHECK(g.cpus[0]->yields == 1);
    CHECK(free);
}

TEST_CASE("guest: poll waits for a port, ends at its timeout, and answers at once when one is pending") {
    FakeGuest g;
    map_shared(g);
    evtchn_bind_ipi_t ipi{0, 0};
    REQUIRE(g.call_with(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ipi) == 0);
    g.put<uint32_t>(0x201000, ipi.port);
    xenabi::Poll poll{0x201000, 1, 0, 9'000'000};
    CHECK(g.call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, poll) == 0);
    const unsigned entries = g.cpus[0]->entries;
    g.turn();
    CHECK(g.cpus[0]->waits == 1);
    CHECK(g.cpus[0]->last_deadline == ~0ull);  // of the entry that followed
    CHECK(g.cpus[0]->entries == entries + 1);
    g.vm->raise(ipi.port);
    CHECK(g.call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, poll) == 0);
    g.turn();
    CHECK(g.cpus[0]->waits == 1);
    // With interrupts off an upcall does not end the sleep; with interrupts on it does.
    g.put<uint64_t>(kShared + 0x800, 0);
    g.put<uint8_t>(kShared, 1);
    set_callback(g);
    for (const bool open : {false, true}) {
        g.state().rflags = open ? 0x202 : 2;
        CHECK(g.call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, poll) == 0);
        const unsigned waits = g.cpus[0]->waits;
        g.turn();
        CHECK(g.cpus[0]->waits == waits + (open ? 0 : 1));
    }
    poll.nr_ports = 129;
    CHECK(g.call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, poll) == -XEN_EINVAL);
}

TEST_CASE("guest: with per-vCPU vectors the edge is asserted again when the LAPIC is enabled") {
    FakeGuest g{1, true};
    map_shared(g);
    xen_hvm_evtchn_upcall_vector_t v{0, 0xf3};
    CHECK(g.call_with(__HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, v) == 0);
    g.put<uint8_t>(kShared, 1);
    g.vcpu().carry_out(g.vcpu().lapic().write(0xf0, 0x1ff, 0));
    g.turn();
    CHECK(g.cpus[0]->injected == external(0xf3));
    g.turn();
    CHECK(g.cpus[0]->injected == 0);  // in service until its EOI
}

TEST_CASE("guest: pause keeps the vCPU out of the guest") {
    FakeGuest g;
    g.vm->pause();
    g.cpus[0]->on_wait = [&] { CHECK(g.vcpu().activity() == Vcpu::Activity::Paused); };
    g.turn();
    CHECK(g.cpus[0]->entries == 0);
    CHECK(g.cpus[0]->waits == 1);
    g.vm->unpause();
    g.turn();
    CHECK(g.cpus[0]->entries == 1);
    CHECK(g.vcpu().activity() == Vcpu::Activity::Running);
}

TEST_CASE("guest: the trace tells of each exit what matters") {
    FakeGuest g;
    TraceRing& trace = g.vcpu().trace();
    const uint64_t before = trace.count();
    g.call(__HYPERVISOR_event_channel_op, 7, 0);
    auto last = trace.last(TraceRing::kMost);
    CHECK(last.first + last.count == trace.count());
    REQUIRE(trace.count() > before);
    const auto told = [&](ExitReason reason) {
        for (unsigned i = last.count; i-- > 0;)
            if (last.exits[i].reason == reason) return last.exits[i];
        return TraceRing::Exit{};
    };
    CHECK(told(ExitReason::Hypercall).detail == (uint64_t{__HYPERVISOR_event_channel_op} | 7ull << 32));
    CHECK(told(ExitReason::Hypercall).rip == FakeGuest::kCode);
    g.state().rip = FakeGuest::kCode;
    g.state().gpr[1] = 0x1b;
    g.exit(ExitReason::MsrRead, {0x0f, 0x32});
    g.state().gpr[0] = 0x40000000;
    g.exit(ExitReason::Cpuid, {0x0f, 0xa2});
    last = trace.last(TraceRing::kMost);
    CHECK(told(ExitReason::MsrRead).detail == 0x1b);
    CHECK(told(ExitReason::Cpuid).detail == 0x40000000);
}

TEST_CASE("trace ring: the last exits, oldest first, and no more than it holds") {
    TraceRing ring;
    CHECK(ring.last(10).count == 0);
    CHECK(ring.dump(10).empty());
    for (uint64_t i = 0; i < 1000; ++i) {
        ring.record(ExitReason::Cpuid, i, ~i);
        const auto all = ring.last(1000), some = ring.last(5);
        REQUIRE(all.count == std::min<uint64_t>(i + 1, TraceRing::kMost));
        REQUIRE(all.first + all.count == i + 1);
        REQUIRE(some.count == std::min<uint64_t>(i + 1, 5));
        for (unsigned k = 0; k < all.count; ++k) REQUIRE(all.exits[k].rip == all.first + k);
    }
    CHECK(ring.count() == 1000);
}

TEST_CASE("trace ring: a reader beside a running vCPU sees whole exits, in order") {
    TraceRing ring;
    std::atomic<bool> stop{false};
    std::thread vcpu{[&] {
        for (uint64_t i = 0; !stop.load(std::memory_order_relaxed); ++i)
            ring.record(static_cast<ExitReason>(i % 23), i, i * 3);
    }};
    while (ring.count() < 1000) std::this_thread::yield();
    unsigned seen = 0, wrong = 0;
    for (int round = 0; round < 20000; ++round) {
        const auto last = ring.last(TraceRing::kMost);
        for (unsigned k = 0; k < last.count; ++k, ++seen) {
            const uint64_t number = last.first + k;
            const auto& e = last.exits[k];
            wrong +=
                e.rip != number || e.detail != number * 3 || e.reason != static_cast<ExitReason>(number % 23);
        }
    }
    stop = true;
    vcpu.join();
    CHECK(wrong == 0);
    CHECK(seen > 0);
}
