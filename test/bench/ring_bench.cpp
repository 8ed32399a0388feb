// SPDX-License-Identifier: Apache-2.0
// Two domains and a ring between them: the one that accepts "ring" echoes, the one that connects to it
// measures. Both sleep between messages, as services and their clients do; the service has the higher
// priority (bench.dts).
#include "lib/ring/connection.hpp"
#include "lib/ring/listener.hpp"
#include "lib/ring/message.hpp"
#include "schema/platform.capnp.h"
#include "test/bench/measure.hpp"

namespace bulkhead::bench {
namespace {

using schema::platform::Answer;
using schema::platform::Request;

[[noreturn]] void fail(const char* what, cap::Status status) {
    cap::log_line(std::string{"FAILED ring_bench: "} + what + ": " + cap::describe(status));
    for (;;) cap::drop(sys::thread_suspend(cap::kMainThread));
}

class Echo final : public ring::Service {
  public:
    bool message(ring::Client& client, std::span<const uint64_t> words) override {
        uint32_t number = 0;
        const ring::Io parsed = ring::parse<Request>(client.channel(), words, [&](auto request) {
            number = request.getRequest();
            return true;
        });
        if (parsed != ring::Io::Ok) return true;
        return ring::send<Answer>(client.channel(), 8, [&](auto answer) {
                   answer.setRequest(number);
                   answer.initTime().setTsc(number);
               }) != ring::Io::Full;
    }
};

void serve(cap::Environment& env, ring::Hub& hub, const abi::NamedCap& accept) {
    static_cast<void>(env);
    Echo echo;
    ring::Listener listener{hub, cap::address(accept), echo};
    for (;;)
        if (const cap::Status status = listener.turn(abi::kDeadlineNever); status != cap::Status::Ok)
            fail("receiving", status);
}

void round_trip(ring::Hub& hub, ring::Channel& channel, uint32_t number) {
    const ring::Io sent = ring::send<Request>(channel, 8, [&](auto request) {
        request.setRequest(number);
        request.setTime();
    });
    if (sent != ring::Io::Ok) fail("sending", cap::Status::PeerGone);
    for (;;) {
        bool right = false;
        const ring::Io io = ring::receive<Answer>(channel, [&](auto answer) {
            right = answer.getRequest() == number;
            return true;
        });
        if (io == ring::Io::Ok && right) return;
        if (io != ring::Io::Empty) fail("a wrong answer", cap::Status::BadArgument);
        if (channel.arm() && !hub.wait(abi::kDeadlineNever)) fail("waiting", cap::Status::Aborted);
    }
}

void measure_ring(ring::Hub& hub, const abi::NamedCap& endpoint) {
    ring::Connection service{hub, cap::address(endpoint)};
    if (const cap::Status status = service.connect(); status != cap::Status::Ok) fail("connecting", status);
    uint32_t number = 0;
    measure("ring.message_roundtrip_cross", [&] { round_trip(hub, service.channel(), ++number); });
    cap::log_line("BENCH-END");
    for (;;) (void)hub.wait(abi::kDeadlineNever);
}

}  // namespace
}  // namespace bulkhead::bench

int main() {
    using namespace bulkhead;
    const abi::StartInfo* start = cap::start_info();
    if (!start) return 1;
    static cap::Environment env{*start};
    static auto hub = ring::Hub::create(env);
    if (!hub) bench::fail("making a hub", hub.error());
    if (const abi::NamedCap* own = cap::find_cap(*start, "inspect")) bench::inspect = cap::address(*own);
    if (const abi::NamedCap* accept = cap::find_cap(*start, "accept-ring")) bench::serve(env, *hub, *accept);
    if (const abi::NamedCap* endpoint = cap::find_cap(*start, "connect-ring"))
        bench::measure_ring(*hub, *endpoint);
    bench::fail("the manifest gives it neither accept-ring nor connect-ring", cap::Status::NoCapability);
}
