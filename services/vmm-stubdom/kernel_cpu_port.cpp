// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/kernel_cpu_port.hpp"

namespace bulkhead::vmm {

using abi::ExitReason;
using abi::VcpuState;
using cap::Status;

cap::Expected<std::unique_ptr<KernelCpuPort>> KernelCpuPort::create(cap::Environment& env,
                                                                    cap::CapAddr guest_root) {
    std::unique_ptr<KernelCpuPort> port{new KernelCpuPort};
    auto vcpu = env.memory.create<cap::Vcpu>();
    if (!vcpu) return std::unexpected{vcpu.error()};
    auto page = env.memory.create<cap::Frame>(abi::kPageBits);
    if (!page) return std::unexpected{page.error()};
    auto mapping = env.mapper.map(page->address(), abi::kPageBits, abi::map::kRead | abi::map::kWrite);
    if (!mapping) return std::unexpected{mapping.error()};
    auto notification = env.memory.create<cap::Notification>();
    if (!notification) return std::unexpected{notification.error()};
    auto kick = env.cspace.mint<cap::Notification>(notification->address(), abi::rights::kWrite, 1);
    if (!kick) return std::unexpected{kick.error()};

    const struct {
        abi::VcpuSlot slot;
        cap::CapAddr what;
    } parts[] = {{abi::VcpuSlot::StatePage, page->address()},
                 {abi::VcpuSlot::GuestRoot, guest_root},
                 {abi::VcpuSlot::BoundNotification, notification->address()}};
    for (const auto& part : parts)
        if (const Status status = cap::sys::vcpu_set(vcpu->address(), part.slot, part.what);
            status != Status::Ok)
            return std::unexpected{status};

    port->vcpu_ = std::move(*vcpu);
    port->page_ = std::move(*page);
    port->mapping_ = std::move(*mapping);
    port->notification_ = std::move(*notification);
    port->kick_ = std::move(*kick);
    port->state_ = reinterpret_cast<VcpuState*>(port->mapping_.data());
    return port;
}

ExitReason KernelCpuPort::run(uint64_t deadline_tsc) {
    const cap::Result r = cap::sys::vcpu_run(vcpu_.address(), deadline_tsc);
    // The page is this domain's own, written by the kernel alone: no copy is needed.
    if (r.status == Status::Ok) [[likely]]
        return state_->reason;
    if (r.status == Status::Notified) return ExitReason::Notified;
    if (r.status == Status::Timeout) return ExitReason::Timeout;
    if (r.status == Status::Aborted) return ExitReason::Notified;
    last_error_ = r.status;
    state_->exit_code = r.r0;  // VcpuInvalid: the offset of the field
    return ExitReason::None;
}

// Whatever else the exit said is kept: the kernel treats this as an exit of its own, and would hand back an
// event that waits for injection as an interrupted one.
void KernelCpuPort::sync() {
    VcpuState& s = *state_;
    const ExitReason reason = s.reason;
    const uint64_t inject = s.inject, interrupted = s.interrupted_event, next_rip = s.next_rip,
                   exit_code = s.exit_code;
    const uint8_t fetched = s.fetched_bytes;
    s.inject = 0;
    s.flags |= VcpuState::kSyncOnly;
    // A kick that is pending makes the call return at once: it is remembered by a new one, and the call
    // repeated.
    bool kicked = false;
    while (cap::sys::vcpu_run(vcpu_.address(), abi::kDeadlineNever).status == Status::Notified) kicked = true;
    s.flags &= ~VcpuState::kSyncOnly;
    s.reason = reason;
    s.inject = inject;
    s.interrupted_event = interrupted;
    s.next_rip = next_rip;
    s.exit_code = exit_code;
    s.fetched_bytes = fetched;
    if (kicked) kick();
}

void KernelCpuPort::wait(uint64_t deadline_tsc) {
    cap::drop(cap::sys::wait(notification_.address(), deadline_tsc));
}
void KernelCpuPort::yield() {
    cap::drop(cap::sys::yield());
}
void KernelCpuPort::kick() {
    cap::drop(cap::sys::signal(kick_.address()));
}

}  // namespace bulkhead::vmm
