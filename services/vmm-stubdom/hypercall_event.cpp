// SPDX-License-Identifier: Apache-2.0
// event_channel_op, two-level ABI. The FIFO calls are unknown on purpose: Linux then uses the two-level ABI;
// a half FIFO panics it.
#include "services/vmm-stubdom/hypercalls.hpp"
#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

bool self(const Vm& vm, uint16_t domain) {
    return domain == DOMID_SELF || domain == vm.config().domid;
}

// Copy in, act, put the port into the structure, copy out. A port that cannot be told is closed again.
template <typename T, typename Action>
int64_t bind(HypercallContext& c, void (*set)(T&, Port), Action action) {
    T a{};
    if (!c.get(c.arg[1], a)) return -XEN_EFAULT;
    const int port = action(a);
    if (port < 0) return port;
    set(a, static_cast<Port>(port));
    if (c.put(c.arg[1], a)) return 0;
    c.vm.events().close(static_cast<Port>(port));
    return -XEN_EFAULT;
}

template <typename T, typename Action>
int64_t with(HypercallContext& c, Action action) {
    T a{};
    if (!c.get(c.arg[1], a)) return -XEN_EFAULT;
    return action(a);
}

template <typename T, typename Action>
int64_t bind_port(HypercallContext& c, Action action) {
    return bind<T>(
        c, +[](T& a, Port port) { a.port = port; }, action);
}

int64_t status(HypercallContext& c) {
    evtchn_status_t a{};
    if (!c.get(c.arg[1], a)) return -XEN_EFAULT;
    if (!self(c.vm, a.dom)) return -XEN_ESRCH;
    if (const int error = c.vm.events().status(a.port, a); error < 0) return error;
    return c.put(c.arg[1], a) ? 0 : -XEN_EFAULT;
}

int64_t bind_interdomain(HypercallContext& c) {
    return bind<evtchn_bind_interdomain_t>(
        c, +[](evtchn_bind_interdomain_t& a, Port port) { a.local_port = port; },
        [&](const evtchn_bind_interdomain_t& a) {
            // No other guest is reachable from here: backends are services, not guests.
            return self(c.vm, a.remote_dom)
                       ? c.vm.events().bind_interdomain(c.vm.config().domid, a.remote_port)
                       : -XEN_ESRCH;
        });
}

}  // namespace

int64_t event_channel_op(HypercallContext& c) {
    EventChannels& events = c.vm.events();
    switch (static_cast<uint32_t>(c.arg[0])) {
        case EVTCHNOP_send: return with<evtchn_send_t>(c, [&](const auto& a) { return events.send(a.port); });
        case EVTCHNOP_unmask:
            return with<evtchn_unmask_t>(c, [&](const auto& a) { return events.unmask(a.port); });
        case EVTCHNOP_close:
            return with<evtchn_close_t>(c, [&](const auto& a) { return events.close(a.port); });
        case EVTCHNOP_bind_vcpu:
            return with<evtchn_bind_vcpu_t>(c,
                                            [&](const auto& a) { return events.bind_vcpu(a.port, a.vcpu); });
        case EVTCHNOP_bind_virq:
            return bind_port<evtchn_bind_virq_t>(
                c, [&](const auto& a) { return events.bind_virq(a.virq, a.vcpu); });
        case EVTCHNOP_bind_ipi:
            return bind_port<evtchn_bind_ipi_t>(c, [&](const auto& a) { return events.bind_ipi(a.vcpu); });
        case EVTCHNOP_alloc_unbound:
            return bind_port<evtchn_alloc_unbound_t>(c, [&](const auto& a) {
                return self(c.vm, a.dom) ? events.alloc_unbound(a.remote_dom) : -XEN_ESRCH;
            });
        case EVTCHNOP_bind_interdomain: return bind_interdomain(c);
        case EVTCHNOP_status: return status(c);
        case EVTCHNOP_reset:
            return with<evtchn_reset_t>(c, [&](const auto& a) {
                if (!self(c.vm, a.dom)) return -XEN_ESRCH;
                events.reset();
                return 0;
            });
        default: return -XEN_ENOSYS;
    }
}

}  // namespace bulkhead::vmm
