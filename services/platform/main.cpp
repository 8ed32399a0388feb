// SPDX-License-Identifier: Apache-2.0
// The platform stub domain: power-off, reset, wall clock, power button, watchdog.
#include <algorithm>
#include <cstdio>

#include "lib/cap/environment.hpp"
#include "services/platform/power_button.hpp"
#include "services/platform/service.hpp"
#include "services/platform/tco_watchdog.hpp"

namespace bulkhead::platform {
namespace {

void say(const std::string& text) {
    cap::log_line("platform: " + text);
}

// The power button by its interrupt. An SCI that somebody else holds down would come again for ever: then it
// stays masked and the button is looked at now and then.
class ButtonWatch {
  public:
    ButtonWatch(const abi::StartInfo& start, const cap::TscClock& clock, GrantedPorts& ports)
        : clock_{clock},
          irq_{cap::find_cap(start, "sci")},
          button_{ports, {ports.range("event-ports"), ports.range("power-ports"), ports.range("smi-port")}} {}

    void start(ring::Hub& hub) {
        const std::string problem = button_.start([&] { pause_ms(hub); });
        if (!problem.empty()) return say("the power button is not watched: " + problem);
        const auto bit = hub.take_bit();
        if (!irq_ || !bit) return poll("there is no ACPI interrupt");
        auto bell = hub.mint(*bit);
        if (!bell || cap::sys::irq_bind(cap::address(*irq_), bell->address()) != cap::Status::Ok)
            return poll("the ACPI interrupt cannot be bound");
        bell_ = std::move(*bell);
        bits_ = uint64_t{1} << *bit;
        say("the power button is watched");
    }

    // Call after every turn, with what was signalled in it.
    bool pressed(uint64_t signals) {
        const uint64_t now = cap::read_tsc();
        if (!button_.watched() || !(polls_ ? now >= next_poll_ : signals & bits_)) return false;
        const bool press = button_.pressed();
        if (polls_)
            next_poll_ = now + clock_.ticks_of_us(kPollMs * 1000);
        else
            acknowledge(press, now);
        return press;
    }
    uint64_t deadline() const { return polls_ ? next_poll_ : abi::kDeadlineNever; }

  private:
    static constexpr uint64_t kPollMs = 250;
    static constexpr unsigned kStorm = 200;  // interrupts without a press within a second

    void acknowledge(bool press, uint64_t now) {
        if (now - second_began_ > clock_.ticks_of_us(1'000'000)) second_began_ = now, idle_ = 0;
        if (!press && ++idle_ > kStorm)
            return poll("the ACPI interrupt comes without a cause that Bulkhead knows");
        cap::drop(cap::sys::irq_ack(cap::address(*irq_)));
    }
    void poll(const char* why) {
        polls_ = true;
        next_poll_ = 0;
        say(std::string{"the power button is looked at four times a second: "} + why);
    }
    void pause_ms(ring::Hub& hub) { (void)hub.wait(clock_.deadline_in_ms(1)); }

    const cap::TscClock& clock_;
    const abi::NamedCap* irq_;
    PowerButton button_;
    cap::Cap<cap::Notification> bell_;
    uint64_t bits_ = 0;
    bool polls_ = false;
    uint64_t next_poll_ = 0, second_began_ = 0;
    unsigned idle_ = 0;
};

volatile uint32_t* general_control(const abi::StartInfo& start) {
    constexpr uint64_t kOffset = 0x410;  // in its page
    const abi::NamedCap* tco = cap::find_cap(start, "tco-ports");
    return tco && tco->mapped.size ? reinterpret_cast<volatile uint32_t*>(tco->mapped.base + kOffset)
                                   : nullptr;
}

// "9.6", "20"
std::string seconds(uint64_t ms) {
    return std::to_string(ms / 1000) + (ms % 1000 ? "." + std::to_string(ms % 1000 / 100) : "");
}

// As the boot options want it.
void start_watchdog(const abi::BootInfo* boot, TcoWatchdog& watchdog) {
    if (!boot || boot->chosen.watchdog == 0) return;
    // A kernel that stopped for good could not stop the timer.
    if (boot->chosen.noreboot != 0)
        return say("watchdog: not started, because 'noreboot' forbids what it is for");
    const uint32_t timeout = boot->chosen.watchdog_timeout;
    const uint64_t asked = timeout != 0 ? uint64_t{timeout} * 1000 : TcoWatchdog::kDefaultMs;
    if (const std::string problem = watchdog.start(asked); !problem.empty())
        return say("watchdog: " + problem);
    if (asked < TcoWatchdog::kLeastMs || asked > TcoWatchdog::kMostMs)
        say("option 'watchdog_timeout=" + std::to_string(timeout) + "': the TCO timer can wait from " +
            seconds(TcoWatchdog::kLeastMs) + " to " + seconds(TcoWatchdog::kMostMs) + " s");
    say("watchdog: the TCO timer resets the machine " + seconds(watchdog.reset_ms()) + " s after it hangs");
}

int serve(const abi::StartInfo& start) {
    static cap::Environment env{start};
    const abi::NamedCap* accept = cap::find_cap(start, "accept-platform");
    auto hub = ring::Hub::create(env);
    if (!accept || !hub) return say("the manifest grants no 'accept-platform', or memory is too small"), 1;
    GrantedPorts ports{start};
    TcoWatchdog watchdog{ports, ports.range("tco-ports"), general_control(start)};
    start_watchdog(cap::boot_info(start), watchdog);
    PlatformService service{start, env.clock, ports};
    ring::Listener listener{*hub, cap::address(*accept), service, {.max_clients = 16}};
    service.set_listener(listener);
    ButtonWatch button{start, env.clock, ports};
    button.start(*hub);
    for (;;) {
        watchdog.reload();
        if (button.pressed(service.take_signals())) service.button_pressed();
        const uint64_t reload =
            watchdog.running() ? env.clock.deadline_in_ms(TcoWatchdog::kReloadMs) : abi::kDeadlineNever;
        const cap::Status status = listener.turn(std::min(reload, button.deadline()));
        if (status != cap::Status::Ok && status != cap::Status::Timeout)
            return say(std::string{"cannot receive: "} + cap::describe(status)), 1;
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
