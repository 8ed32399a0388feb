// SPDX-License-Identifier: Apache-2.0
// The serial ports for the time before console-stubdom owns one, and for panics.
#pragma once

#include "abi/boot_options.hpp"

namespace bulkhead::arch {

// The line control register (National Semiconductor PC16550D, 8.1), without the divisor latch bit.
constexpr uint8_t uart_line_control(const abi::SerialOptions& line) {
    constexpr uint8_t kParity[] = {0, 0x08, 0x18, 0x28, 0x38};  // none, odd, even, mark, space
    return static_cast<uint8_t>((line.data_bits - 5) | (line.stop_bits == 2 ? 4 : 0) |
                                kParity[static_cast<uint8_t>(line.parity)]);
}
constexpr uint16_t uart_divisor(const abi::SerialOptions& line) {
    return static_cast<uint16_t>(line.base_baud / line.baud);
}

// Prepares the ports that console= names. With `sync_console` the kernel goes on to write to a port that
// console-stubdom owns.
void uart_setup(const abi::BootOptions&);

}  // namespace bulkhead::arch
