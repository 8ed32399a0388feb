// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <cstring>
#include <vector>

#include "services/vmm-stubdom/console_ring.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"
#include "services/vmm-stubdom/xenstore_ring.hpp"

using namespace bulkhead::vmm;

namespace {

struct Screen : ConsoleSink {
    std::size_t write(std::string_view text) override {
        const std::size_t part = std::min(text.size(), room);
        room -= part;
        shown += text.substr(0, part);
        return part;
    }
    std::string shown;
    std::size_t room = 1 << 20;
};

struct alignas(4096) ConsolePage {
    xencons_interface ring{};
    std::byte* bytes() { return reinterpret_cast<std::byte*>(&ring); }
    void print(std::string_view text) {
        for (char c : text) ring.out[ring.out_prod++ % sizeof ring.out] = c;
    }
};

struct Service : XenstoreLink {
    bool request(const xsd_sockmsg& header, std::string_view payload) override {
        if (full) return false;
        headers.push_back(header);
        payloads.emplace_back(payload);
        return true;
    }
    std::vector<xsd_sockmsg> headers;
    std::vector<std::string> payloads;
    bool full = false;
};

struct alignas(4096) StorePage {
    xenstore_domain_interface ring{};
    std::byte* bytes() { return reinterpret_cast<std::byte*>(&ring); }
    std::size_t send(std::string_view text) {
        std::size_t n = 0;
        while (n < text.size() && ring.req_prod - ring.req_cons < XENSTORE_RING_SIZE)
            ring.req[ring.req_prod++ % XENSTORE_RING_SIZE] = text[n++];
        return n;
    }
    std::string receive() {
        std::string text;
        while (ring.rsp_cons != ring.rsp_prod) text += ring.rsp[ring.rsp_cons++ % XENSTORE_RING_SIZE];
        return text;
    }
};

std::string message(uint32_t type, uint32_t id, std::string_view payload) {
    const xsd_sockmsg h{type, id, 0, static_cast<uint32_t>(payload.size())};
    return std::string{reinterpret_cast<const char*>(&h), sizeof h} + std::string{payload};
}

}  // namespace

TEST_CASE("console ring: output, back-pressure, input and its bound") {
    ConsolePage page;
    Screen screen;
    ConsoleRing ring{page.bytes(), screen};
    CHECK_FALSE(ring.pump());
    page.ring.out_prod = page.ring.out_cons = 0xfffffff0;  // the indices wrap
    page.print("hello\nworld and more than sixteen");
    CHECK(ring.pump());
    CHECK(screen.shown == "hello\nworld and more than sixteen");
    CHECK(page.ring.out_cons == page.ring.out_prod);

    screen.room = 3;
    page.print("abcdef");
    CHECK(ring.pump());
    CHECK(ring.output_waiting());
    CHECK(page.ring.out_prod - page.ring.out_cons == 3);
    CHECK_FALSE(ring.pump());
    screen.room = 100;
    CHECK(ring.pump());
    CHECK_FALSE(ring.output_waiting());

    CHECK(ring.queue_input(std::string(2000, 'x')) == 2000);
    CHECK(ring.pump());
    CHECK(page.ring.in_prod == 1024);
    CHECK(ring.queue_input(std::string(9000, 'y')) == ConsoleRing::kMostInput - 976);
    page.ring.in_cons = 1024;
    CHECK(ring.pump());
    CHECK(page.ring.in_prod == 2048);
}

TEST_CASE("console ring: impossible indices move nothing out of the page") {
    ConsolePage page;
    Screen screen;
    ConsoleRing ring{page.bytes(), screen};
    page.ring.out_prod = 5000;
    CHECK(ring.pump());
    CHECK(screen.shown.empty());
    CHECK(page.ring.out_cons == 5000);
    page.ring.in_cons = 77;
    ring.queue_input("z");
    CHECK_FALSE(ring.pump());
}

TEST_CASE("xenstore ring: requests in pieces, replies larger than the ring") {
    StorePage page;
    Service service;
    XenstoreRing ring{page.bytes(), service};
    const std::string big(4096, 'p');
    const std::string request = message(XS_WRITE, 7, big);
    std::size_t sent = 0;
    while (sent < request.size()) {
        sent += page.send(std::string_view{request}.substr(sent));
        CHECK(ring.pump());
    }
    REQUIRE(service.headers.size() == 1);
    CHECK(service.payloads[0] == big);
    CHECK(ring.outstanding() == 1);
    ring.reply({XS_READ, 7, 0, 0}, big);
    CHECK(ring.outstanding() == 0);
    std::string got;
    while (ring.pump()) got += page.receive();
    CHECK(got == message(XS_READ, 7, big));
}

TEST_CASE("xenstore ring: no more than 20 requests are outstanding, and a full link loses none") {
    StorePage page;
    Service service;
    XenstoreRing ring{page.bytes(), service};
    service.full = true;
    page.send(message(XS_READ, 0, "a"));
    ring.pump();
    CHECK(service.headers.empty());
    service.full = false;
    for (uint32_t i = 1; i < 25; ++i) page.send(message(XS_READ, i, "a"));
    ring.pump();
    CHECK(service.headers.size() == 20);
    ring.reply({XS_READ, 0, 0, 0}, "v");
    ring.pump();
    CHECK(service.headers.size() == 21);
    CHECK(service.headers[20].req_id == 20);
}

TEST_CASE("xenstore ring: a payload over the limit or nonsense indices end the connection") {
    for (const bool payload : {true, false}) {
        StorePage page;
        Service service;
        XenstoreRing ring{page.bytes(), service};
        if (payload) {
            const xsd_sockmsg h{XS_READ, 1, 0, 4097};
            page.send({reinterpret_cast<const char*>(&h), sizeof h});
        } else {
            page.ring.req_prod = 3000;
        }
        CHECK(ring.pump());
        CHECK(ring.closed());
        CHECK(page.ring.error != 0);
        CHECK(service.headers.empty());
        ring.reply({XS_READ, 1, 0, 0}, "v");
        CHECK(ring.event("p", "t"));
        CHECK_FALSE(ring.pump());
    }
}

TEST_CASE("xenstore ring: events are framed with NULs, and refused when the guest does not read") {
    StorePage page;
    Service service;
    XenstoreRing ring{page.bytes(), service};
    CHECK(ring.event("device/vif", "tok"));
    ring.pump();
    CHECK(page.receive() == message(XS_WATCH_EVENT, 0, std::string_view{"device/vif\0tok\0", 15}));
    unsigned taken = 0;
    while (ring.event(std::string(1000, 'x'), "t") && taken < 1000) ++taken;
    CHECK(taken < 70);
}
