// SPDX-License-Identifier: Apache-2.0
// COM1 for the time before console-stubdom owns it, and for panics. Polled, bounded: a missing or wedged UART
// costs little.
#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/core/arch.hpp"

namespace bulkhead::arch {
namespace {
constexpr uint16_t kPort = 0x3f8;
constexpr unsigned kPatience = 100000;  // polls for one byte; a byte takes 87 us at 115200 baud
bool enabled = true;
bool present;

void put(char c) {
    for (unsigned i = 0; i < kPatience; ++i) {
        if ((inb(kPort + 5) & 0x20) != 0) {
            outb(kPort, static_cast<uint8_t>(c));
            return;
        }
        cpu_relax();
    }
    present = false;
}
}  // namespace

void uart_init() {
    outb(kPort + 7, 0x5a);
    present = inb(kPort + 7) == 0x5a;
    if (!present) return;
    outb(kPort + 1, 0);     // no interrupts
    outb(kPort + 3, 0x80);  // divisor latch
    outb(kPort, 1);         // 115200
    outb(kPort + 1, 0);
    outb(kPort + 3, 3);  // 8n1
    outb(kPort + 2, 7);  // FIFO on, cleared
    outb(kPort + 4, 3);
}

void uart_write(const char* text, size_t bytes) {
    if (!enabled) return;
    for (size_t i = 0; i < bytes && present; ++i) {
        if (text[i] == '\n') put('\r');
        put(text[i]);
    }
}

void uart_enable(bool on) {
    enabled = on;
}

}  // namespace bulkhead::arch
