// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/event_channels.hpp"

#include <cstring>

namespace bulkhead::vmm {

namespace {

constexpr std::size_t kPending = offsetof(shared_info_t, evtchn_pending);
constexpr std::size_t kMask = offsetof(shared_info_t, evtchn_mask);
constexpr std::size_t kInfoPending = offsetof(vcpu_info_t, evtchn_upcall_pending);
constexpr std::size_t kInfoSelector = offsetof(vcpu_info_t, evtchn_pending_sel);

constexpr uint64_t bit(Port port) {
    return uint64_t{1} << (port % 64);
}
bool test_and_set(uint64_t* word, uint64_t mask) {
    return (__atomic_fetch_or(word, mask, __ATOMIC_SEQ_CST) & mask) != 0;
}
bool test_and_clear(uint64_t* word, uint64_t mask) {
    return (__atomic_fetch_and(word, ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}
bool test(const uint64_t* word, uint64_t mask) {
    return (__atomic_load_n(word, __ATOMIC_SEQ_CST) & mask) != 0;
}

}  // namespace

EventChannels::EventChannels(unsigned vcpus, EventSink& sink)
    : sink_{sink}, vcpus_{vcpus}, channels_(xenabi::kPorts), shared_{private_page_.data()} {
    for (unsigned i = 0; i < xenabi::kMaxVcpus; ++i)
        info_[i].store(private_info_[i].data(), std::memory_order_release);
}

// ---- memory ----------------------------------------------------------------------------------------------

void EventChannels::set_shared_info(std::byte* page) {
    if (page == shared_) return;
    std::memcpy(page, shared_, 4096);
    for (unsigned i = 0; i < vcpus_; ++i) {
        if (registered_ & (1u << i)) continue;
        std::byte* info = page + i * sizeof(vcpu_info_t);
        std::memcpy(info, vcpu_info(i), sizeof(vcpu_info_t));
        info_[i].store(info, std::memory_order_release);
    }
    shared_ = page;
}

bool EventChannels::register_vcpu_info(unsigned vcpu, std::byte* info) {
    if (registered_ & (1u << vcpu)) return false;
    std::memcpy(info, vcpu_info(vcpu), sizeof(vcpu_info_t));
    info_[vcpu].store(info, std::memory_order_release);
    registered_ |= 1u << vcpu;
    // An event may have been raised into the old copy meanwhile: let the guest look at all of them.
    kick_pending(vcpu);
    return true;
}

void EventChannels::kick_pending(unsigned vcpu) {
    std::byte* info = vcpu_info(vcpu);
    __atomic_store_n(reinterpret_cast<uint64_t*>(info + kInfoSelector), ~uint64_t{0}, __ATOMIC_SEQ_CST);
    __atomic_store_n(reinterpret_cast<uint8_t*>(info + kInfoPending), uint8_t{1}, __ATOMIC_SEQ_CST);
    sink_.upcall(vcpu);
}

void EventChannels::forget_memory() {
    private_page_.fill(std::byte{0});
    shared_ = private_page_.data();
    registered_ = 0;
    for (unsigned i = 0; i < xenabi::kMaxVcpus; ++i) {
        private_info_[i].fill(std::byte{0});
        info_[i].store(private_info_[i].data(), std::memory_order_release);
    }
}

// ---- raising ---------------------------------------------------------------------------------------------

void EventChannels::select(Port port) {
    const unsigned vcpu = channels_[port].vcpu;
    std::byte* info = vcpu_info(vcpu);
    if (test_and_set(reinterpret_cast<uint64_t*>(info + kInfoSelector), bit(port / 64))) return;
    if (__atomic_exchange_n(reinterpret_cast<uint8_t*>(info + kInfoPending), uint8_t{1}, __ATOMIC_SEQ_CST) ==
        0)
        sink_.upcall(vcpu);
}

void EventChannels::raise(Port port) {
    if (!valid(port)) return;
    if (test_and_set(word(kPending, port), bit(port))) return;
    if (!test(word(kMask, port), bit(port))) select(port);
    for (uint32_t left = polling_; left; left &= left - 1)
        sink_.wake_poller(static_cast<unsigned>(__builtin_ctz(left)));
}

void EventChannels::raise_virq(uint32_t virq, unsigned vcpu) {
    if (virq >= kVirqs || vcpu >= vcpus_) return;
    const Port port = virq_port_[is_global(virq) ? 0 : vcpu][virq];
    if (port) raise(port);
}

bool EventChannels::pending(Port port) const {
    return port < xenabi::kPorts && test(word(kPending, port), bit(port));
}

// ---- hypercalls ------------------------------------------------------------------------------------------

bool EventChannels::is_global(uint32_t virq) {
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF && virq != VIRQ_XENPMU;
}

int EventChannels::allocate(State state, uint8_t vcpu, uint32_t detail) {
    for (Port port = 1; port < xenabi::kPorts; ++port) {
        if (channels_[port].state != State::Free) continue;
        channels_[port] = Channel{state, vcpu, 0, detail};
        return static_cast<int>(port);
    }
    return -XEN_ENOSPC;
}

int EventChannels::bind_virq(uint32_t virq, uint32_t vcpu) {
    if (virq >= kVirqs) return -XEN_EINVAL;
    if (vcpu >= vcpus_) return -XEN_ENOENT;
    if (is_global(virq) && vcpu != 0) return -XEN_EINVAL;
    if (virq_port_[vcpu][virq]) return -XEN_EEXIST;
    const int port = allocate(State::Virq, static_cast<uint8_t>(vcpu), virq);
    if (port > 0) virq_port_[vcpu][virq] = static_cast<Port>(port);
    return port;
}

int EventChannels::bind_ipi(uint32_t vcpu) {
    if (vcpu >= vcpus_) return -XEN_ENOENT;
    return allocate(State::Ipi, static_cast<uint8_t>(vcpu), 0);
}

int EventChannels::alloc_unbound(uint16_t remote_domain) {
    const int port = allocate(State::Unbound, 0, 0);
    if (port > 0) channels_[static_cast<Port>(port)].remote_domain = remote_domain;
    return port;
}

int EventChannels::bind_interdomain(uint16_t own_domain, Port remote_port) {
    if (!valid(remote_port)) return -XEN_EINVAL;
    Channel& remote = channels_[remote_port];
    if (remote.state != State::Unbound ||
        (remote.remote_domain != own_domain && remote.remote_domain != DOMID_SELF))
        return -XEN_EINVAL;
    const int port = allocate(State::Loop, 0, remote_port);
    if (port < 0) return port;
    remote.state = State::Loop;
    remote.detail = static_cast<uint32_t>(port);
    raise(static_cast<Port>(port));  // the peer may have sent before it was bound
    return port;
}

int EventChannels::connect_device(uint32_t device) {
    return allocate(State::Device, 0, device);
}

int EventChannels::close(Port port) {
    if (!valid(port)) return -XEN_EINVAL;
    Channel& channel = channels_[port];
    if (channel.state == State::Virq) virq_port_[channel.vcpu][channel.detail] = 0;
    if (channel.state == State::Loop) {
        Channel& peer = channels_[channel.detail];
        peer.state = State::Unbound;
        peer.remote_domain = DOMID_SELF;
    }
    // The pending bit goes with the port: its next owner must not inherit an event.
    test_and_clear(word(kPending, port), bit(port));
    channel = Channel{};
    return 0;
}

int EventChannels::send(Port port) {
    if (!valid(port)) return -XEN_EINVAL;
    const Channel& channel = channels_[port];
    switch (channel.state) {
        case State::Device: sink_.notify_device(channel.detail); return 0;
        case State::Loop: raise(channel.detail); return 0;
        case State::Ipi: raise(port); return 0;
        case State::Unbound: return 0;  // nobody there yet: dropped, as Xen does
        default: return -XEN_EINVAL;
    }
}

int EventChannels::unmask(Port port) {
    if (!valid(port)) return -XEN_EINVAL;
    if (test_and_clear(word(kMask, port), bit(port)) && test(word(kPending, port), bit(port))) select(port);
    return 0;
}

int EventChannels::bind_vcpu(Port port, uint32_t vcpu) {
    if (vcpu >= vcpus_) return -XEN_ENOENT;
    if (!valid(port)) return -XEN_EINVAL;
    Channel& channel = channels_[port];
    const bool movable = channel.state == State::Unbound || channel.state == State::Loop ||
                         channel.state == State::Device ||
                         (channel.state == State::Virq && is_global(channel.detail));
    if (!movable) return -XEN_EINVAL;
    channel.vcpu = static_cast<uint8_t>(vcpu);
    return 0;
}

int EventChannels::status(Port port, evtchn_status_t& out) const {
    if (port >= xenabi::kPorts) return -XEN_EINVAL;
    const Channel& channel = channels_[port];
    out.vcpu = channel.vcpu;
    switch (channel.state) {
        case State::Free: out.status = EVTCHNSTAT_closed; break;
        case State::Unbound:
            out.status = EVTCHNSTAT_unbound;
            out.u.unbound.dom = channel.remote_domain;
            break;
        case State::Loop:
            out.status = EVTCHNSTAT_interdomain;
            out.u.interdomain.dom = DOMID_SELF;
            out.u.interdomain.port = channel.detail;
            break;
        case State::Device:
            out.status = EVTCHNSTAT_interdomain;
            out.u.interdomain.dom = 0;
            out.u.interdomain.port = 0;
            break;
        case State::Virq:
            out.status = EVTCHNSTAT_virq;
            out.u.virq = channel.detail;
            break;
        case State::Ipi: out.status = EVTCHNSTAT_ipi; break;
    }
    return 0;
}

void EventChannels::reset() {
    for (Port port = 1; port < xenabi::kPorts; ++port)
        if (channels_[port].state != State::Free && channels_[port].state != State::Device) close(port);
}

}  // namespace bulkhead::vmm
