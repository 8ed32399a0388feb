// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/event_channels.hpp"

#include <catch2/catch.hpp>

#include <cstring>

#include "services/vmm-stubdom/grant_table.hpp"

using namespace bulkhead::vmm;

namespace {

struct Sink : EventSink {
    void upcall(unsigned vcpu) override { upcalls.push_back(vcpu); }
    void wake_poller(unsigned vcpu) override { pollers.push_back(vcpu); }
    void notify_device(uint32_t device) override { devices.push_back(device); }
    std::vector<unsigned> upcalls, pollers;
    std::vector<uint32_t> devices;
};

struct alignas(4096) Page {
    std::byte bytes[4096] = {};
    uint64_t word(std::size_t at) const {
        uint64_t v;
        std::memcpy(&v, bytes + at, 8);
        return v;
    }
    void set(std::size_t at, uint64_t v) { std::memcpy(bytes + at, &v, 8); }
};

}  // namespace

TEST_CASE("event channels: bind, raise, mask, unmask") {
    Sink sink;
    EventChannels events{2, sink};
    Page shared;
    events.set_shared_info(shared.bytes);
    const int ipi = events.bind_ipi(1);
    REQUIRE(ipi > 0);
    const auto port = static_cast<Port>(ipi);
    CHECK(events.send(port) == 0);
    CHECK(sink.upcalls == std::vector<unsigned>{1});
    CHECK(shared.word(0x800) == 1ull << ipi);
    CHECK(shared.word(64 + 8) == 1);  // vcpu_info[1].evtchn_pending_sel
    CHECK(events.upcall_pending(1));
    CHECK_FALSE(events.upcall_pending(0));
    events.send(port);
    CHECK(sink.upcalls.size() == 1);  // still pending: no second edge

    // The guest handles it; then masks and gets another: the edge comes with the unmask.
    shared.set(0x800, 0);
    shared.set(64, 0);
    shared.set(64 + 8, 0);
    shared.set(0xa00, 1ull << ipi);
    events.send(port);
    CHECK(sink.upcalls.size() == 1);
    CHECK(events.unmask(port) == 0);
    CHECK(sink.upcalls.size() == 2);
    CHECK(events.unmask(port) == 0);
    CHECK(sink.upcalls.size() == 2);
}

TEST_CASE("event channels: VIRQs are per vCPU, exclusive, and come back after close") {
    Sink sink;
    EventChannels events{2, sink};
    const int timer0 = events.bind_virq(VIRQ_TIMER, 0);
    CHECK(timer0 > 0);
    CHECK(events.bind_virq(VIRQ_TIMER, 0) == -XEN_EEXIST);
    CHECK(events.bind_virq(VIRQ_TIMER, 1) > 0);
    CHECK(events.bind_virq(VIRQ_TIMER, 2) == -XEN_ENOENT);
    CHECK(events.bind_virq(24, 0) == -XEN_EINVAL);
    CHECK(events.bind_virq(VIRQ_CONSOLE, 1) == -XEN_EINVAL);
    events.raise_virq(VIRQ_TIMER, 0);
    CHECK(events.pending(static_cast<Port>(timer0)));
    CHECK(events.send(static_cast<Port>(timer0)) == -XEN_EINVAL);
    CHECK(events.close(static_cast<Port>(timer0)) == 0);
    CHECK_FALSE(events.pending(static_cast<Port>(timer0)));
    CHECK(events.close(static_cast<Port>(timer0)) == -XEN_EINVAL);
    events.raise_virq(VIRQ_TIMER, 0);  // nobody bound: nothing happens
    CHECK(events.bind_virq(VIRQ_TIMER, 0) == timer0);
}

TEST_CASE("event channels: registering vcpu_info moves the bits and asserts the upcall") {
    Sink sink;
    EventChannels events{1, sink};
    Page shared, percpu;
    events.set_shared_info(shared.bytes);
    CHECK(events.register_vcpu_info(0, percpu.bytes + 128));
    CHECK(percpu.word(128 + 8) == ~0ull);
    CHECK((percpu.word(128) & 0xff) == 1);
    CHECK(sink.upcalls == std::vector<unsigned>{0});
    CHECK_FALSE(events.register_vcpu_info(0, percpu.bytes));
    events.forget_memory();
    CHECK(events.register_vcpu_info(0, percpu.bytes));
}

TEST_CASE("event channels: devices, unbound ports, loop-back and refusals") {
    Sink sink;
    EventChannels events{1, sink};
    const int device = events.connect_device(9);
    CHECK(events.send(static_cast<Port>(device)) == 0);
    CHECK(sink.devices == std::vector<uint32_t>{9});
    events.raise(static_cast<Port>(device));
    CHECK(events.pending(static_cast<Port>(device)));

    const int unbound = events.alloc_unbound(7);
    CHECK(events.send(static_cast<Port>(unbound)) == 0);
    CHECK(events.bind_interdomain(3, static_cast<Port>(unbound)) == -XEN_EINVAL);
    const int peer = events.bind_interdomain(7, static_cast<Port>(unbound));
    REQUIRE(peer > 0);
    events.send(static_cast<Port>(peer));
    CHECK(events.pending(static_cast<Port>(unbound)));
    CHECK(events.send(0) == -XEN_EINVAL);
    CHECK(events.send(4096) == -XEN_EINVAL);
    CHECK(events.unmask(~0u) == -XEN_EINVAL);
    CHECK(events.bind_vcpu(static_cast<Port>(peer), 5) == -XEN_ENOENT);

    evtchn_status_t status{};
    CHECK(events.status(static_cast<Port>(peer), status) == 0);
    CHECK(status.status == EVTCHNSTAT_interdomain);
    events.reset();
    CHECK(events.send(static_cast<Port>(peer)) == -XEN_EINVAL);
    CHECK(events.send(static_cast<Port>(device)) == 0);  // the VMM's own ports stay
}

TEST_CASE("event channels: every port can be used up, and none more") {
    Sink sink;
    EventChannels events{1, sink};
    for (unsigned i = 1; i < 4096; ++i) REQUIRE(events.alloc_unbound(0) > 0);
    CHECK(events.alloc_unbound(0) == -XEN_ENOSPC);
    CHECK(events.close(17) == 0);
    CHECK(events.bind_ipi(0) == 17);
}

TEST_CASE("event channels: a poller is woken by a masked port too") {
    Sink sink;
    EventChannels events{2, sink};
    Page shared;
    events.set_shared_info(shared.bytes);
    const auto port = static_cast<Port>(events.bind_ipi(1));
    shared.set(0xa00, 1ull << port);
    events.set_polling(1, true);
    events.send(port);
    CHECK(sink.upcalls.empty());
    CHECK(sink.pollers == std::vector<unsigned>{1});
}

TEST_CASE("grant table: an entry is pinned for the right domain and right only") {
    GrantTable grants;
    Page page;
    CHECK_FALSE(grants.acquire(8, 0, false));
    CHECK(grants.set_frame(0, page.bytes));
    CHECK_FALSE(grants.set_frame(GrantTable::kMaxFrames, page.bytes));
    CHECK(grants.frames() == 1);
    page.set(64, (uint64_t{0x1234} << 32) | (uint64_t{3} << 16) | GTF_permit_access | GTF_readonly);
    CHECK_FALSE(grants.acquire(8, 2, false));
    CHECK_FALSE(grants.acquire(8, 3, true));
    CHECK(grants.acquire(8, 3, false) == GuestPhys{0x1234000});
    CHECK((page.word(64) & GTF_reading) != 0);
    grants.release(8, false);
    CHECK((page.word(64) & GTF_reading) == 0);
    CHECK_FALSE(grants.acquire(512, 3, false));
    CHECK_FALSE(grants.acquire(~0u, 3, false));
}
