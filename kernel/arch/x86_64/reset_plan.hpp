// SPDX-License-Identifier: Apache-2.0
// In which order this machine's ways of resetting are tried, and what each of them writes. Knows the machine
// as `Ports` only, so that the host runs it against a fake one (test/unit/arch).
#pragma once

#include <stdint.h>

#include <initializer_list>

#include "abi/boot_options.hpp"

namespace bulkhead::arch {

using abi::ResetMethod;

struct ResetPlan {
    uint16_t acpi_port;            // FADT: RESET_REG; 0: it has none in I/O space
    uint8_t acpi_value;            // FADT: RESET_VALUE, to be written there
    ResetMethod first;             // "reboot="
    bool warm;                     // "reboot=warm"
    bool never;                    // "noreboot": stop instead
    bool known;                    // boot has got far enough to fill this in
    volatile uint16_t* bios_flag;  // in the BIOS data area: skip the memory test; nullptr: there is no BIOS
};

struct ResetOrder {
    ResetMethod method[5];
    unsigned count;
};

// Begins with the chosen one, and ends with the triple fault: a CPU that has shut down tries nothing more.
constexpr ResetOrder reset_order(const ResetPlan& plan) {
    ResetOrder order{};
    const auto append = [&](ResetMethod method) {
        if (method == ResetMethod::Default || (method == ResetMethod::Acpi && plan.acpi_port == 0)) return;
        for (unsigned i = 0; i < order.count; ++i)
            if (order.method[i] == method || order.method[i] == ResetMethod::Triple) return;
        order.method[order.count++] = method;
    };
    append(plan.first);
    for (const ResetMethod method :
         {ResetMethod::Acpi, ResetMethod::Pci, ResetMethod::Keyboard, ResetMethod::Triple})
        append(method);
    return order;
}

// Reset Control register of Intel's and compatible chipsets: bit 1 chooses a hard reset, bit 3 one with a
// power cycle, then a rising bit 2 does it (ICH9 data sheet, 13.7.5).
template <typename Ports>
void reset_by_control(Ports& ports, uint8_t kind) {
    constexpr uint16_t kResetControl = 0xcf9;
    constexpr uint8_t kReset = 0x04;
    const auto other = static_cast<uint8_t>(ports.in(kResetControl)&0xf1);
    ports.out(kResetControl, static_cast<uint8_t>(other | kind));
    ports.delay();
    ports.out(kResetControl, static_cast<uint8_t>(other | kind | kReset));
}

// The keyboard controller pulses its output line 0, which is the CPUs' reset.
template <typename Ports>
void reset_by_keyboard(Ports& ports) {
    constexpr uint16_t kCommand = 0x64;
    constexpr uint8_t kInputFull = 0x02, kPulseReset = 0xfe;
    for (unsigned i = 0; i < 10000 && (ports.in(kCommand)&kInputFull) != 0; ++i) ports.delay();
    ports.out(kCommand, kPulseReset);
}

template <typename Ports>
void reset_by(ResetMethod method, const ResetPlan& plan, Ports& ports) {
    switch (method) {
        case ResetMethod::Acpi: return ports.out(plan.acpi_port, plan.acpi_value);
        case ResetMethod::Pci: return reset_by_control(ports, 0x02);
        case ResetMethod::Power: return reset_by_control(ports, 0x0a);
        case ResetMethod::Keyboard: return reset_by_keyboard(ports);
        case ResetMethod::Triple: return ports.triple_fault();
        case ResetMethod::Default: return;
    }
}

// Returns only if nothing had an effect. ports.missed() gives each method its time.
template <typename Ports>
void try_to_reset(const ResetPlan& plan, Ports& ports) {
    constexpr uint16_t kWarm = 0x1234, kCold = 0;  // as every BIOS since the PC/AT's
    if (plan.bios_flag != nullptr) *plan.bios_flag = plan.warm ? kWarm : kCold;
    const ResetOrder order = reset_order(plan);
    for (unsigned i = 0; i < order.count; ++i) {
        reset_by(order.method[i], plan, ports);
        ports.missed(order.method[i]);
    }
}

}  // namespace bulkhead::arch
