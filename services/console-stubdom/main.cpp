// SPDX-License-Identifier: Apache-2.0
// The console stub domain: takes the serial port over from the kernel and serves "accept-console".
#include <cstdio>
#include <string>

#include "lib/cap/environment.hpp"
#include "services/console-stubdom/console_service.hpp"

namespace bulkhead::console {
namespace {

class UartPorts final : public Ports {
  public:
    UartPorts(cap::CapAddr ports, uint16_t first) : ports_{ports}, first_{first} {}
    uint8_t in(unsigned reg) override {
        return static_cast<uint8_t>(cap::sys::port_in(ports_, static_cast<uint16_t>(first_ + reg), 1).r0);
    }
    void out(unsigned reg, uint8_t value) override {
        cap::drop(cap::sys::port_out(ports_, static_cast<uint16_t>(first_ + reg), 1, value));
    }

  private:
    cap::CapAddr ports_;
    uint16_t first_;
};

const abi::NamedCap& need(const abi::StartInfo& start, const char* name) {
    const abi::NamedCap* found = cap::find_cap(start, name);
    if (found) return *found;
    cap::log_line(std::string{"console: the manifest grants no '"} + name + "'");
    std::exit(1);
}

int serve(const abi::StartInfo& start) {
    static cap::Environment env{start};
    const auto& ports = need(start, "uart-ports");
    const auto& irq = need(start, "uart-irq");
    const auto& kept = need(start, "scrollback");
    auto hub = ring::Hub::create(env);
    const auto bit = hub ? hub->take_bit() : std::nullopt;
    if (!bit) return cap::log_line("console: cannot make its notification"), 1;
    auto interrupt = hub->mint(*bit);
    if (!interrupt || cap::sys::irq_bind(cap::address(irq), interrupt->address()) != cap::Status::Ok)
        return cap::log_line("console: cannot bind the serial port's interrupt"), 1;

    // From here on the line is ours; the kernel takes it back only to panic.
    cap::drop(cap::sys::log_control(cap::address(need(start, "log-all")), abi::kLogUartOff));
    UartPorts io{cap::address(ports), static_cast<uint16_t>(ports.value & 0xffff)};
    Uart uart{io};
    if (!uart.present())
        cap::log_line("console: there is no serial port at its I/O ports; output goes nowhere");
    Scrollback scrollback{{reinterpret_cast<std::byte*>(kept.mapped.base), kept.mapped.size}};
    ConsoleService service{uart, scrollback};
    ring::Listener listener{*hub, cap::address(need(start, "accept-console")), service, {.max_clients = 250}};
    service.set_listener(listener);

    std::vector<std::byte> input;
    for (;;) {
        const cap::Status status = listener.turn(abi::kDeadlineNever);
        if (status != cap::Status::Ok && status != cap::Status::Timeout)
            return cap::log_line(std::string{"console: cannot receive: "} + cap::describe(status)), 1;
        input.clear();
        uart.interrupt(input);
        cap::drop(cap::sys::irq_ack(cap::address(irq)));
        if (!input.empty()) service.input(input);
        service.pump();
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
