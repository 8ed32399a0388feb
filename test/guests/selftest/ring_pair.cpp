// SPDX-License-Identifier: Apache-2.0
// A service and a client on the real kernel: Listener and Connection over granted frames, doorbells and
// tombstones. Runs as the root task (it makes its own endpoint), both ends as threads of one domain; prints
// what an instance of each saw.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "lib/ring/connection.hpp"
#include "lib/ring/listener.hpp"
#include "lib/ring/message.hpp"
#include "schema/platform.capnp.h"

namespace {

using namespace bulkhead;
using cap::CapAddr;
using schema::platform::Answer;
using schema::platform::Request;

constexpr uint64_t kBadge = 77;
constexpr unsigned kRounds = 300, kInstances = 30;

[[noreturn]] void fail(const char* what, cap::Status status) {
    std::printf("ring: %s: %s\n", what, cap::describe(status));
    std::exit(1);
}

// Echoes the request's number; counts whom it met.
class Echo final : public ring::Service {
  public:
    bool connected(ring::Client& client) override {
        right_badge = client.badge() == kBadge;
        pool_bytes = client.pool().size();
        return true;
    }
    bool message(ring::Client& client, std::span<const uint64_t> words) override {
        uint32_t request = 0;
        const ring::Io parsed = ring::parse<Request>(client.channel(), words, [&](auto message) {
            request = message.getRequest();
            return true;
        });
        if (parsed != ring::Io::Ok) return true;
        const ring::Io sent = ring::send<Answer>(client.channel(), 8, [&](auto answer) {
            answer.setRequest(request);
            answer.initTime().setTsc(request * 2);
        });
        served += sent == ring::Io::Ok;
        return sent != ring::Io::Full;
    }
    void disconnected(ring::Client&, ring::CloseReason why) override {
        ++gone;
        reason = why;
    }
    unsigned served = 0, gone = 0;
    ring::CloseReason reason = ring::CloseReason::Open;
    size_t pool_bytes = 0;
    bool right_badge = false;
};

// One round trip; sleeps on the hub until the answer is there. False: the service is gone.
bool ask(ring::Hub& hub, ring::Connection& service, uint32_t number) {
    if (ring::send<Request>(service.channel(), 8, [&](auto request) {
            request.setRequest(number);
            request.setTime();
        }) == ring::Io::Closed)
        return false;
    for (bool rung = false;; rung = true) {
        bool right = false;
        const ring::Io io = ring::receive<Answer>(service.channel(), [&](auto answer) {
            right = answer.getRequest() == number && answer.getTime().getTsc() == uint64_t{number} * 2;
            return true;
        });
        if (io == ring::Io::Ok) {
            if (!right) fail("a wrong answer", cap::Status::BadArgument);
            return true;
        }
        if (io == ring::Io::Closed) return false;
        if (rung && service.lost()) return false;  // rung for nothing: perhaps the tombstone
        if (!service.channel().arm()) continue;
        if (!hub.wait(abi::kDeadlineNever)) fail("wait", cap::Status::Aborted);
    }
}

void client(cap::Environment& env, CapAddr endpoint, std::atomic<unsigned>& rounds) {
    auto hub = ring::Hub::create(env);
    if (!hub) fail("the client's hub", hub.error());
    ring::Connection service{*hub, endpoint, {.region_bits = 13, .pool_bits = 16, .pool_writable = true}};
    for (unsigned instance = 0; instance < kInstances; ++instance) {
        if (const cap::Status status = service.connect(); status != cap::Status::Ok) fail("connect", status);
        unsigned done = 0;
        const uint64_t before = cap::read_tsc();
        while (done < kRounds && ask(*hub, service, done)) ++done;
        if (instance == 1)
            std::printf("note: %llu ticks a round trip\n",
                        static_cast<unsigned long long>((cap::read_tsc() - before) / (done ? done : 1)));
        rounds = done;
        if (done + 1 < kRounds) std::printf("client: only %u rounds\n", done);
        while (instance + 1 < kInstances && !service.lost())
            if (!hub->wait(abi::kDeadlineNever)) fail("wait for the tombstone", cap::Status::Aborted);
    }
}

}  // namespace

int main() {
    const abi::StartInfo* start = cap::start_info();
    if (!start) return 1;
    cap::Environment env{*start};
    if (const auto* info = cap::find_cap(*start, "root-info")) {
        const auto& root = *reinterpret_cast<const abi::RootInfo*>(info->mapped.base);
        for (uint32_t i = 0; i < root.untypeds; ++i)
            if (!root.untyped[i].device) env.memory.add(CapAddr{0, abi::root::kFirstUntyped + i});
    }
    const uint64_t free_before = env.memory.free_bytes();
    const uint32_t slots_before = env.cspace.slots().available();
    {
        auto endpoint = env.memory.create<cap::Endpoint>();
        if (!endpoint) fail("endpoint", endpoint.error());
        auto connect = env.cspace.mint<cap::Endpoint>(endpoint->address(),
                                                      abi::rights::kWrite | abi::rights::kGrant, kBadge);
        if (!connect) fail("mint", connect.error());
        std::atomic<unsigned> rounds = 0;
        unsigned whole = 0;
        std::thread other{client, std::ref(env), connect->address(), std::ref(rounds)};
        for (unsigned instance = 0; instance < kInstances; ++instance) {
            auto hub = ring::Hub::create(env);
            if (!hub) fail("the service's hub", hub.error());
            Echo echo;
            ring::Listener listener{*hub, endpoint->address(), echo, {.max_pool_bits = 16}};
            const bool last = instance + 1 == kInstances;
            while (last ? echo.gone == 0 : echo.served < kRounds)
                if (const cap::Status status = listener.turn(abi::kDeadlineNever); status != cap::Status::Ok)
                    fail("turn", status);
            whole += echo.served == kRounds && echo.right_badge && echo.pool_bytes == 65536;
            if (last && echo.reason == ring::CloseReason::Open)
                fail("the last client", cap::Status::NotReady);
        }
        other.join();
        std::printf("service: %u whole instances\n", whole);
    }
    // Page tables stay; everything else came back.
    std::printf("ring: slots kept %d, memory kept %d\n", slots_before - env.cspace.slots().available() < 64,
                free_before - env.memory.free_bytes() < (1 << 20));
    std::printf("ring: done\n");
}
