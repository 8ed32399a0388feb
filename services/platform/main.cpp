// SPDX-License-Identifier: Apache-2.0
// The platform stub domain: power-off, reset, wall clock.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "lib/cap/environment.hpp"
#include "lib/ring/listener.hpp"
#include "lib/ring/message.hpp"
#include "schema/platform.capnp.h"
#include "services/platform/rtc.hpp"

namespace bulkhead::platform {
namespace {

using schema::platform::Answer;
using schema::platform::Request;

constexpr uint64_t kFieldShift =
    40;  // NamedCap::value of the power and reset ports: first | count << 16 | what to write << 40
constexpr uint64_t kSleepEnable = 1 << 13;
constexpr unsigned kSleepTypeShift = 10;  // PM1 control register (ACPI 6.5, 4.8.3.2.1)

class PortCmos final : public Cmos {
  public:
    explicit PortCmos(cap::CapAddr ports) : ports_{ports} {}
    uint8_t read(uint8_t index) override {
        cap::drop(
            cap::sys::port_out(ports_, 0x70, 1, index | 0x80u));  // bit 7: NMI stays masked while we look
        return static_cast<uint8_t>(cap::sys::port_in(ports_, 0x71, 1).r0);
    }

  private:
    cap::CapAddr ports_;
};

class PlatformService final : public ring::Service {
  public:
    PlatformService(const abi::StartInfo& start, const cap::TscClock& clock) : start_{start}, clock_{clock} {
        const abi::NamedCap* ports = cap::find_cap(start, "rtc-ports");
        if (!ports) return;
        PortCmos cmos{cap::address(*ports)};
        tsc_at_start_ = cap::read_tsc();
        seconds_at_start_ = read_clock(cmos);
    }

    bool message(ring::Client& client, std::span<const uint64_t> words) override {
        (void)ring::parse<Request>(client.channel(), words, [&](Request::Reader request) {
            const uint32_t number = request.getRequest();
            const bool control = client.badge() & abi::kControlRole;
            if (request.isTime())
                time(client, number);
            else if (!control)
                fail(client, number, "this channel may only ask for the time");
            else if (request.isPowerOff())
                fail(client, number, power_off());
            else if (request.isReset())
                fail(client, number, reset());
            return true;
        });
        return true;
    }

  private:
    void fail(ring::Client& client, uint32_t number, const char* why) {
        (void)ring::send<Answer>(client.channel(), 32 + std::strlen(why) / 8, [&](Answer::Builder answer) {
            answer.setRequest(number);
            answer.setError(why);
        });
    }

    void time(ring::Client& client, uint32_t number) {
        if (!seconds_at_start_) return fail(client, number, "the machine's real-time clock does not answer");
        const uint64_t tsc = cap::read_tsc();
        (void)ring::send<Answer>(client.channel(), 16, [&](Answer::Builder answer) {
            answer.setRequest(number);
            auto out = answer.initTime();
            out.setTsc(tsc);
            out.setNanosecondsUtc(*seconds_at_start_ * 1'000'000'000 +
                                  clock_.ns_of_ticks(tsc - tsc_at_start_));
        });
    }

    // Both return only when it did not work.
    const char* power_off() {
        const abi::NamedCap* ports = cap::find_cap(start_, "power-ports");
        if (!ports) return "the firmware offers no ACPI power-off";
        const auto port = static_cast<uint16_t>(ports->value & 0xffff);
        const uint64_t type = ports->value >> kFieldShift & 7;
        cap::drop(cap::sys::port_out(cap::address(*ports), port, 2, type << kSleepTypeShift | kSleepEnable));
        return "the machine ignored ACPI power-off";
    }
    const char* reset() {
        const abi::NamedCap* ports = cap::find_cap(start_, "reset-ports");
        if (!ports) return "there is no reset register";
        const auto port = static_cast<uint16_t>(ports->value & 0xffff);
        cap::drop(cap::sys::port_out(cap::address(*ports), port, 1, ports->value >> kFieldShift & 0xff));
        return "the machine ignored the reset register";
    }

    const abi::StartInfo& start_;
    const cap::TscClock& clock_;
    uint64_t tsc_at_start_ = 0;
    std::optional<uint64_t> seconds_at_start_;
};

int serve(const abi::StartInfo& start) {
    static cap::Environment env{start};
    const abi::NamedCap* accept = cap::find_cap(start, "accept-platform");
    auto hub = ring::Hub::create(env);
    if (!accept || !hub)
        return cap::log_line("platform: the manifest grants no 'accept-platform', or memory is too small"), 1;
    PlatformService service{start, env.clock};
    ring::Listener listener{*hub, cap::address(*accept), service, {.max_clients = 16}};
    for (;;) {
        const cap::Status status = listener.turn(abi::kDeadlineNever);
        if (status != cap::Status::Ok && status != cap::Status::Timeout)
            return cap::log_line(std::string{"platform: cannot receive: "} + cap::describe(status)), 1;
    }
}

}  // namespace
}  // namespace bulkhead::platform

int main() {
    const bulkhead::abi::StartInfo* start = bulkhead::cap::start_info();
    if (!start) {
        std::fputs("platform: this program is a stub domain of Bulkhead\n", stderr);
        return 1;
    }
    return bulkhead::platform::serve(*start);
}
