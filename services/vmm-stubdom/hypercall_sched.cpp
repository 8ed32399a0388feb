// SPDX-License-Identifier: Apache-2.0
// sched_op, vcpu_op and hvm_op.
#include <algorithm>

#include "services/vmm-stubdom/hypercalls.hpp"
#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

bool self(const Vm& vm, uint16_t domain) {
    return domain == DOMID_SELF || domain == vm.config().domid;
}

// ---- sched_op --------------------------------------------------------------------------------------------

int64_t shutdown(HypercallContext& c) {
    sched_shutdown_t s{};
    if (!c.get(c.arg[1], s)) return -XEN_EFAULT;
    const std::string who = "vmm: " + c.vm.config().name + ": ";
    switch (s.reason) {
        case SHUTDOWN_poweroff: c.vm.end({ExitReport::Poweroff, s.reason, {}}); return 0;
        case SHUTDOWN_reboot: c.vm.end({ExitReport::Reboot, s.reason, {}}); return 0;
        case SHUTDOWN_suspend:
            c.vcpu.await_resume();
            c.vm.suspend();
            return 0;
        case SHUTDOWN_watchdog:
            c.vm.end({ExitReport::Watchdog, s.reason, who + "its watchdog expired"});
            return 0;
        case SHUTDOWN_crash:
            c.vm.end({ExitReport::Crash, s.reason, who + "the guest's kernel reported a crash"});
            return 0;
        case SHUTDOWN_soft_reset:
            c.vm.end({ExitReport::Crash, s.reason,
                      who + "the guest asked for a soft reset (kexec), which is not supported"});
            return 0;
        default: return -XEN_EINVAL;
    }
}

int64_t poll(HypercallContext& c) {
    constexpr uint32_t kMostPorts = 128;  // Xen's limit
    xenabi::Poll p{};
    if (!c.get(c.arg[1], p)) return -XEN_EFAULT;
    if (p.nr_ports > kMostPorts) return -XEN_EINVAL;
    EventChannels& events = c.vm.events();
    // The bit first, the ports second: an event in between wakes the poller.
    events.set_polling(c.vcpu.index(), true);
    bool ready = false;
    int64_t error = 0;
    for (uint32_t i = 0; i < p.nr_ports && !ready && !error; ++i) {
        uint32_t port = 0;
        if (!c.get(p.ports + uint64_t{i} * 4, port))
            error = -XEN_EFAULT;
        else if (port >= xenabi::kPorts)
            error = -XEN_EINVAL;
        else
            ready = events.pending(port);
    }
    if (error || ready) {
        events.set_polling(c.vcpu.index(), false);
        return error;
    }
    c.vcpu.block(true, p.timeout ? c.vm.clock().tsc_at(p.timeout) : kNever);
    return 0;
}

// ---- vcpu_op ---------------------------------------------------------------------------------------------

int64_t register_vcpu_info(HypercallContext& c, unsigned index) {
    vcpu_register_vcpu_info_t r{};
    if (!c.get(c.arg[2], r)) return -XEN_EFAULT;
    if (r.offset > kGuestPageSize - sizeof(vcpu_info_t) || r.offset % 8 != 0) return -XEN_EINVAL;
    std::byte* page = c.vm.page(Gfn{r.mfn});
    if (!page) return -XEN_EINVAL;
    if (!c.vm.events().register_vcpu_info(index, page + r.offset)) return -XEN_EINVAL;
    c.vm.vcpu(index).clock().publish_time(page + r.offset + offsetof(vcpu_info_t, time));
    return 0;
}

// An area given by its guest-virtual address; at most two pages.
int64_t locate_area(HypercallContext& c, uint64_t linear, uint64_t size, std::span<std::byte> (&parts)[2]) {
    for (auto& part : parts) {
        if (size == 0) break;
        const auto where = c.walker.translate(linear, Access::Write, Privilege::Supervisor);
        if (!where) return -XEN_EFAULT;
        const uint64_t here = std::min(size, where->bytes_left_in_page);
        const auto span = c.vm.memory().span(where->address, here);
        if (!span) return -XEN_EFAULT;
        part = *span;
        linear += here;
        size -= here;
    }
    return 0;
}

int64_t register_runstate(HypercallContext& c, unsigned index) {
    uint64_t linear = 0;
    if (!c.get(c.arg[2], linear)) return -XEN_EFAULT;
    std::span<std::byte> parts[2];
    if (const int64_t error = locate_area(c, linear, sizeof(xenabi::RunstateInfo), parts); error < 0)
        return error;
    c.vm.vcpu(index).clock().set_runstate_area(parts[0], parts[1]);
    return 0;
}

int64_t register_time_area(HypercallContext& c, unsigned index) {
    uint64_t linear = 0;
    if (!c.get(c.arg[2], linear)) return -XEN_EFAULT;
    std::span<std::byte> parts[2];
    if (const int64_t error = locate_area(c, linear, sizeof(vcpu_time_info_t), parts); error < 0)
        return error;
    if (!parts[1].empty() || linear % 8 != 0) return -XEN_EINVAL;
    c.vm.vcpu(index).clock().publish_time(parts[0].data());
    return 0;
}

int64_t set_singleshot(HypercallContext& c) {
    vcpu_set_singleshot_timer_t t{};
    if (!c.get(c.arg[2], t)) return -XEN_EFAULT;
    if ((t.flags & VCPU_SSHOTTMR_future) &&
        t.timeout_abs_ns < c.vm.clock().system_ns(c.vcpu.port().now_tsc()))
        return -XEN_ETIME;
    // A deadline in the past fires at the next entry: the guest waits for it all the same.
    c.vcpu.clock().set_singleshot(t.timeout_abs_ns);
    return 0;
}

int64_t set_periodic(HypercallContext& c) {
    vcpu_set_periodic_timer_t t{};
    if (!c.get(c.arg[2], t)) return -XEN_EFAULT;
    if (t.period_ns < 1'000'000 || t.period_ns > 0x7fff'ffff'ffff) return -XEN_EINVAL;
    c.vcpu.clock().set_periodic(t.period_ns, c.vcpu.port().now_tsc());
    return 0;
}

}  // namespace

int64_t sched_op(HypercallContext& c) {
    switch (static_cast<uint32_t>(c.arg[0])) {
        case SCHEDOP_block: c.vcpu.block(false, kNever); return 0;
        case SCHEDOP_shutdown: return shutdown(c);
        case SCHEDOP_poll: return poll(c);
        default: return -XEN_ENOSYS;
    }
}

int64_t vcpu_op(HypercallContext& c) {
    const auto command = static_cast<uint32_t>(c.arg[0]);
    const auto index = static_cast<uint32_t>(c.arg[1]);
    if (index >= c.vm.vcpus()) return -XEN_ENOENT;
    const bool own = index == c.vcpu.index();
    // Timers belong to the vCPU's own thread. Linux stops the periodic timer of a vCPU that is not up: there
    // is none.
    switch (command) {
        case VCPUOP_register_vcpu_info: return register_vcpu_info(c, index);
        case VCPUOP_register_runstate_memory_area: return register_runstate(c, index);
        case VCPUOP_register_vcpu_time_memory_area: return register_time_area(c, index);
        case VCPUOP_get_runstate_info:
            return c.put(c.arg[2], c.vm.vcpu(index).clock().runstate()) ? 0 : -XEN_EFAULT;
        case VCPUOP_stop_periodic_timer:
            if (own) c.vcpu.clock().stop_periodic();
            return 0;
        case VCPUOP_set_periodic_timer: return own ? set_periodic(c) : -XEN_EINVAL;
        case VCPUOP_set_singleshot_timer: return own ? set_singleshot(c) : -XEN_EINVAL;
        case VCPUOP_stop_singleshot_timer:
            if (!own) return -XEN_EINVAL;
            c.vcpu.clock().stop_singleshot();
            return 0;
        case VCPUOP_is_up: return c.vm.vcpu(index).online() ? 1 : 0;
        case VCPUOP_up: return c.vm.vcpu(index).online() ? 0 : -XEN_EINVAL;  // INIT and SIPI bring a vCPU up
        case VCPUOP_send_nmi: c.vm.trigger_nmi(index); return 0;
        default: return -XEN_ENOSYS;
    }
}

int64_t hvm_op(HypercallContext& c) {
    switch (static_cast<uint32_t>(c.arg[0])) {
        case HVMOP_set_param:
        case HVMOP_get_param: {
            xen_hvm_param_t p{};
            if (!c.get(c.arg[1], p)) return -XEN_EFAULT;
            if (!self(c.vm, p.domid)) return -XEN_ESRCH;
            if (static_cast<uint32_t>(c.arg[0]) == HVMOP_set_param) return c.vm.set_param(p.index, p.value);
            if (const int64_t error = c.vm.get_param(p.index, p.value); error < 0) return error;
            return c.put(c.arg[1], p) ? 0 : -XEN_EFAULT;
        }
        case HVMOP_set_evtchn_upcall_vector: {
            xen_hvm_evtchn_upcall_vector_t v{};
            if (!c.get(c.arg[1], v)) return -XEN_EFAULT;
            if (!c.vm.config().upcall_vector) return -XEN_ENOSYS;
            if (v.vcpu >= c.vm.vcpus()) return -XEN_ENOENT;
            if (v.vector < 16) return -XEN_EINVAL;
            c.vm.vcpu(v.vcpu).set_upcall_vector(v.vector);
            // An event that came before the vector was known: assert it now.
            if (c.vm.events().upcall_pending(v.vcpu)) c.vm.vcpu(v.vcpu).post(v.vector);
            return 0;
        }
        case HVMOP_get_time: {
            const uint64_t now = c.vm.clock().system_ns(c.vcpu.port().now_tsc());
            return c.put(c.arg[1], now) ? 0 : -XEN_EFAULT;
        }
        default: return -XEN_ENOSYS;
    }
}

}  // namespace bulkhead::vmm
