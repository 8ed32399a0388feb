// SPDX-License-Identifier: Apache-2.0
// The console stub domain: takes the serial port over from the kernel, and the screen and the keyboard from
// the firmware, and serves "accept-console".
#include <algorithm>
#include <cstdio>
#include <string>

#include "lib/cap/environment.hpp"
#include "services/console-stubdom/console_service.hpp"
#include "services/console-stubdom/local_terminal.hpp"

namespace bulkhead::console {
namespace {

const abi::NamedCap& need(const abi::StartInfo& start, const char* name) {
    const abi::NamedCap* found = cap::find_cap(start, name);
    if (found) return *found;
    cap::log_line(std::string{"console: the manifest grants no '"} + name + "'");
    std::exit(1);
}

int serve(const abi::StartInfo& start) {
    static cap::Environment env{start};
    // The options may name no serial port (console=vga), or one that is polled (com1=…,0).
    const abi::NamedCap *ports = cap::find_cap(start, "uart-ports"), *irq = cap::find_cap(start, "uart-irq");
    const auto& kept = need(start, "scrollback");
    const auto log = cap::address(need(start, "log-all"));
    auto hub = ring::Hub::create(env);
    const auto bit = hub ? hub->take_bit() : std::nullopt;
    if (!bit) return cap::log_line("console: cannot make its notification"), 1;
    auto interrupt = hub->mint(*bit);
    if (!interrupt ||
        (irq && cap::sys::irq_bind(cap::address(*irq), interrupt->address()) != cap::Status::Ok))
        return cap::log_line("console: cannot bind the serial port's interrupt"), 1;

    // From here on the line is ours; the kernel takes it back only to panic.
    cap::drop(cap::sys::log_control(log, abi::kLogUartOff));
    PortRange io{ports};
    Uart uart{io};
    LocalTerminal local{start, log, env.clock};
    if (ports && !uart.present()) cap::log_line("console: there is no serial port at its I/O ports");
    if (!uart.present() && !local.screen())
        cap::log_line("console: it may use neither a serial port nor a screen: output goes nowhere");
    if (local.irq() &&
        cap::sys::irq_bind(cap::address(*local.irq()), interrupt->address()) != cap::Status::Ok)
        cap::log_line("console: cannot bind the keyboard's interrupt");
    Scrollback scrollback{{reinterpret_cast<std::byte*>(kept.mapped.base), kept.mapped.size}};
    ConsoleService service{uart, scrollback, local.screen()};
    ring::Listener listener{*hub, cap::address(need(start, "accept-console")), service, {.max_clients = 250}};
    service.set_listener(listener);

    constexpr uint64_t kPollMs = 2;
    const bool polled = uart.present() && !irq;
    std::vector<std::byte> input;
    for (;;) {
        const cap::Status status = listener.turn(
            polled ? std::min(local.deadline(), env.clock.deadline_in_ms(kPollMs)) : local.deadline());
        if (status != cap::Status::Ok && status != cap::Status::Timeout)
            return cap::log_line(std::string{"console: cannot receive: "} + cap::describe(status)), 1;
        input.clear();
        uart.interrupt(input);
        if (irq) cap::drop(cap::sys::irq_ack(cap::address(*irq)));
        local.interrupt(input);
        if (local.irq()) cap::drop(cap::sys::irq_ack(cap::address(*local.irq())));
        if (!input.empty()) service.input(input);
        service.pump();
        local.draw();
    }
}

}  // namespace
}  // namespace bulkhead::console

int main() {
    const bulkhead::abi::StartInfo* start = bulkhead::cap::start_info();
    if (!start) {
        std::fputs("console: this program is a stub domain of Bulkhead\n", stderr);
        return 1;
    }
    return bulkhead::console::serve(*start);
}
