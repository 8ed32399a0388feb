// SPDX-License-Identifier: Apache-2.0
#include "services/platform/service.hpp"

#include <chrono>
#include <cstring>
#include <thread>

#include "lib/ring/message.hpp"
#include "schema/platform.capnp.h"
#include "services/platform/rtc.hpp"
#include "services/platform/timers.hpp"

namespace bulkhead::platform {
namespace {

using schema::platform::Answer;
using schema::platform::Request;

// A machine takes its time to go; dom0 waits for five seconds.
constexpr std::chrono::milliseconds kPatience{4000};
constexpr uint32_t kSleepEnable = 1 << 13;
constexpr unsigned kSleepTypeShift = 10;  // PM1 control register (ACPI 6.5, 4.8.3.2.1)

class PortCmos final : public Cmos {
  public:
    PortCmos(IoPorts& ports, PortRange range) : ports_{ports}, range_{range} {}
    uint8_t read(uint8_t index) override {
        ports_.out(range_.first, 1, index | 0x80u);  // bit 7: NMI stays masked while we look
        return static_cast<uint8_t>(ports_.in(static_cast<uint16_t>(range_.first + 1), 1));
    }

  private:
    IoPorts& ports_;
    const PortRange range_;
};

bool is_control(const ring::Client& client) {
    return (client.badge() & abi::kControlRole) != 0;
}

}  // namespace

PlatformService::PlatformService(const abi::StartInfo& start, const cap::TscClock& clock, GrantedPorts& ports)
    : start_{start}, clock_{clock}, ports_{ports} {
    const PortRange range = ports_.range("rtc-ports");
    if (!range) return;
    PortCmos cmos{ports_, range};
    tsc_at_start_ = cap::read_tsc();
    seconds_at_start_ = read_clock(cmos);
}

bool PlatformService::connected(ring::Client& client) {
    if (presses_ != 0 && is_control(client)) tell_button(client);
    return true;
}

bool PlatformService::message(ring::Client& client, std::span<const uint64_t> words) {
    (void)ring::parse<Request>(client.channel(), words, [&](Request::Reader request) {
        const uint32_t number = request.getRequest();
        if (request.isTime())
            time(client, number);
        else if (!is_control(client))
            fail(client, number, "this channel may only ask for the time");
        else if (request.isPowerOff())
            fail(client, number, power_off());
        else if (request.isReset())
            fail(client, number, reset());
        else if (request.isTimers())
            timers(client, number);
        return true;
    });
    return true;
}

void PlatformService::button_pressed() {
    presses_++;
    listener_->for_each([&](ring::Client& client) {
        if (is_control(client)) tell_button(client);
    });
}

void PlatformService::tell_button(ring::Client& client) {
    (void)ring::send<Answer>(client.channel(), 16,
                             [&](Answer::Builder answer) { answer.setPowerButton(presses_); });
}

void PlatformService::fail(ring::Client& client, uint32_t number, const char* why) {
    (void)ring::send<Answer>(client.channel(), 32 + std::strlen(why) / 8, [&](Answer::Builder answer) {
        answer.setRequest(number);
        answer.setError(why);
    });
}

void PlatformService::time(ring::Client& client, uint32_t number) {
    if (!seconds_at_start_) return fail(client, number, "the machine's real-time clock does not answer");
    const uint64_t tsc = cap::read_tsc();
    (void)ring::send<Answer>(client.channel(), 16, [&](Answer::Builder answer) {
        answer.setRequest(number);
        auto out = answer.initTime();
        out.setTsc(tsc);
        out.setNanosecondsUtc(*seconds_at_start_ * 1'000'000'000 + clock_.ns_of_ticks(tsc - tsc_at_start_));
    });
}

void PlatformService::timers(ring::Client& client, uint32_t number) {
    const uint64_t by_pm_timer = middle_of_five([&] { return tsc_khz_by_pm_timer(); }),
                   by_hpet = middle_of_five([&] { return tsc_khz_by_hpet(); });
    (void)ring::send<Answer>(client.channel(), 16, [&](Answer::Builder answer) {
        answer.setRequest(number);
        auto out = answer.initTimers();
        out.setByPmTimer(by_pm_timer);
        out.setByHpet(by_hpet);
    });
}

uint64_t PlatformService::tsc_khz_by_pm_timer() {
    constexpr uint64_t kHertz = 3'579'545;  // ACPI 6.4, 4.8.3.3
    const PortRange timer = ports_.range("timer-ports");
    if (!timer) return 0;
    const uint64_t mask = timer.extra == 32 ? 0xffff'ffff : 0xff'ffff;
    return tsc_khz_by([&] { return uint64_t{ports_.in(timer.first, 4)} & mask; }, kHertz, mask,
                      cap::read_tsc);
}

// IA-PC HPET specification 1.0a, 2.3: period in femtoseconds, general configuration, main counter.
uint64_t PlatformService::tsc_khz_by_hpet() {
    constexpr uint64_t kFemtoseconds = 1'000'000'000'000'000, kLongestPeriod = 100'000'000;
    const abi::NamedCap* page = cap::find_cap(start_, "hpet");
    if (!page) return 0;
    auto* const registers = reinterpret_cast<volatile uint32_t*>(page->mapped.base);
    const uint32_t period = registers[0x004 / 4];
    if (period == 0 || period > kLongestPeriod) return 0;
    registers[0x010 / 4] = registers[0x010 / 4] | 1;  // count
    return tsc_khz_by([&] { return uint64_t{registers[0x0f0 / 4]}; }, kFemtoseconds / period, 0xffff'ffff,
                      cap::read_tsc);
}

const char* PlatformService::power_off() {
    const PortRange power = ports_.range("power-ports");
    if (!power) return "the firmware offers no ACPI power-off";
    ports_.out(power.first, 2, (power.extra & 7) << kSleepTypeShift | kSleepEnable);
    std::this_thread::sleep_for(kPatience);
    return "the machine ignored ACPI power-off";
}

const char* PlatformService::reset() {
    const abi::NamedCap* port = cap::find_cap(start_, "reset-ports");
    if (!port) return "the manifest grants platform no 'reset-ports'";
    cap::drop(cap::sys::machine_reset(cap::address(*port)));
    return "the kernel refused to reset the machine";
}

}  // namespace bulkhead::platform
