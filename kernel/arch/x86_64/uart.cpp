// SPDX-License-Identifier: Apache-2.0
// Polled, bounded: a missing or wedged UART costs little.
#include "kernel/arch/x86_64/uart.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/core/arch.hpp"

namespace bulkhead::arch {
namespace {

enum Register : uint16_t {
    kData,
    kInterrupts,
    kFifo,
    kLineControl,
    kModemControl,
    kLineStatus,
    kScratch = 7
};
constexpr uint8_t kHoldingEmpty = 0x20, kAllEmpty = 0x40, kDivisorLatch = 0x80;
constexpr unsigned kPatience = 100000;  // polls for one byte; a byte takes 87 us at 115200 baud

uint16_t ports[2];
unsigned count;
bool enabled = true, shared, ready;

bool wait_for(uint16_t port, uint8_t status) {
    for (unsigned i = 0; i < kPatience; ++i) {
        if ((inb(port + kLineStatus) & status) != 0) return true;
        cpu_relax();
    }
    return false;
}

bool put(uint16_t port, char c) {
    if (!wait_for(port, kHoldingEmpty)) return false;
    outb(port, static_cast<uint8_t>(c));
    return true;
}

// A port that console-stubdom fills by bursts as well: whoever begins finds the FIFO empty, so nothing is
// lost.
bool write(uint16_t port, const char* text, size_t bytes) {
    if (shared && !wait_for(port, kAllEmpty)) return false;
    for (size_t i = 0; i < bytes; ++i) {
        if (text[i] == '\n' && !put(port, '\r')) return false;
        if (!put(port, text[i])) return false;
    }
    return !shared || wait_for(port, kAllEmpty);
}

void set_up(const abi::SerialOptions& line) {
    const uint16_t port = line.io_base;
    outb(port + kScratch, 0x5a);
    if (inb(port + kScratch) != 0x5a) return;
    outb(port + kInterrupts, 0);
    if (line.baud != 0) {
        const uint16_t divisor = uart_divisor(line);
        outb(port + kLineControl, kDivisorLatch);
        outb(port + kData, static_cast<uint8_t>(divisor));
        outb(port + kInterrupts, static_cast<uint8_t>(divisor >> 8));
        outb(port + kLineControl, uart_line_control(line));
    }
    outb(port + kFifo, 7);  // on, cleared
    outb(port + kModemControl, 3);
    ports[count++] = port;
}

}  // namespace

void uart_setup(const abi::BootOptions& options) {
    ready = true;
    shared = options.sync_console != 0;
    count = 0;
    for (const abi::ConsoleDevice device : options.console) {
        if (device == abi::ConsoleDevice::None) break;
        if (device != abi::ConsoleDevice::Vga && count < 2) set_up(abi::serial(options, device));
    }
}

void uart_init() {
    if (!ready) uart_setup(abi::default_options());
}

void uart_write(const char* text, size_t bytes) {
    if (!enabled) return;
    for (unsigned i = 0; i < count;) {
        if (write(ports[i], text, bytes))
            ++i;
        else
            ports[i] = ports[--count];
    }
}

void uart_enable(bool on) {
    enabled = on;
}

}  // namespace bulkhead::arch
