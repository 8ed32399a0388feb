// SPDX-License-Identifier: Apache-2.0
// The guest's event channels, two-level ABI: a table of ports, and the three levels of bits in memory that
// the guest also writes (upcall_pending and pending_sel in vcpu_info; evtchn_pending and evtchn_mask in
// shared_info).
//
//     raise(port) ── pending[port] ── mask[port]? ── pending_sel[port/64] ── upcall_pending ──>
//     EventSink::upcall(vcpu)
//
// The other end of an inter-domain port is always the VMM itself (console, xenstore, later block and network
// devices) or the guest's own port (loop-back). The guest's bits are only ever used as bits: nothing here
// trusts them.
//
// Threads: all calls under the VM's lock, but upcall_pending(), which the vCPU threads read before each
// entry.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

using Port = uint32_t;

class EventSink {
  public:
    virtual ~EventSink() = default;
    virtual void upcall(unsigned vcpu) = 0;           // upcall_pending went from 0 to 1
    virtual void wake_poller(unsigned vcpu) = 0;      // it sits in SCHEDOP_poll
    virtual void notify_device(uint32_t device) = 0;  // the guest signalled a port whose other end is the VMM
};

class EventChannels {
  public:
    EventChannels(unsigned vcpus, EventSink& sink);

    // Memory. The page's former contents move to the new one. `info` of 64 bytes stays mapped until replaced.
    void set_shared_info(std::byte* page);
    std::byte* shared_info() { return shared_; }
    bool has_shared_info() const { return shared_ != private_page_.data(); }
    bool register_vcpu_info(unsigned vcpu, std::byte* info);  // false: already registered
    std::byte* vcpu_info(unsigned vcpu) { return info_[vcpu].load(std::memory_order_acquire); }
    void forget_memory();  // resume after suspend: everything is registered again

    bool upcall_pending(unsigned vcpu) const {
        return __atomic_load_n(reinterpret_cast<const uint8_t*>(info_[vcpu].load(std::memory_order_acquire)),
                               __ATOMIC_SEQ_CST) != 0;
    }

    // Hypercalls: 0 or a port on success, -XEN_E… on failure.
    int bind_virq(uint32_t virq, uint32_t vcpu);
    int bind_ipi(uint32_t vcpu);
    int alloc_unbound(uint16_t remote_domain);
    int bind_interdomain(uint16_t own_domain, Port remote_port);  // loop-back only
    int close(Port port);
    int send(Port port);
    int unmask(Port port);
    int bind_vcpu(Port port, uint32_t vcpu);
    int status(Port port, evtchn_status_t& out) const;
    void reset();  // closes all but the VMM's ports

    // VMM side
    int connect_device(uint32_t device);  // a new port whose other end is `device`
    void raise(Port port);                // by a device
    void raise_virq(uint32_t virq, unsigned vcpu);
    bool pending(Port port) const;
    void set_polling(unsigned vcpu, bool polling) {
        polling_ = polling ? polling_ | (1u << vcpu) : polling_ & ~(1u << vcpu);
    }
    void kick_pending(unsigned vcpu);  // asserts the upcall whatever the bits say

  private:
    enum class State : uint8_t { Free, Unbound, Loop, Device, Virq, Ipi };
    struct Channel {
        State state = State::Free;
        uint8_t vcpu = 0;
        uint16_t remote_domain = 0;
        uint32_t detail = 0;  // Loop: peer port; Device: device; Virq: number
    };
    static constexpr unsigned kVirqs = 24;

    int allocate(State state, uint8_t vcpu, uint32_t detail);
    bool valid(Port port) const {
        return port != 0 && port < xenabi::kPorts && channels_[port].state != State::Free;
    }
    uint64_t* word(std::size_t offset, Port port) const {
        return reinterpret_cast<uint64_t*>(shared_ + offset + port / 64 * 8);
    }
    void select(Port port);
    static bool is_global(uint32_t virq);

    EventSink& sink_;
    const unsigned vcpus_;
    std::vector<Channel> channels_;
    std::array<std::array<Port, kVirqs>, xenabi::kMaxVcpus> virq_port_{};
    alignas(4096) std::array<std::byte, 4096> private_page_{};
    alignas(64) std::array<std::array<std::byte, 64>, xenabi::kMaxVcpus> private_info_{};
    std::byte* shared_;
    std::array<std::atomic<std::byte*>, xenabi::kMaxVcpus> info_{};
    uint32_t registered_ = 0, polling_ = 0;
};

}  // namespace bulkhead::vmm
