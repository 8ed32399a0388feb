// SPDX-License-Identifier: Apache-2.0
// What the operator chose on the boot command line, by Xen's option names (docs/options.md). Boot code turns
// the text into this once (boot/options); the kernel, the supervisor and the services read it, and nobody
// parses the text again. Whatever was not given, or not understood, has its default here.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::abi {

enum class ConsoleDevice : uint8_t { None, Com1, Com2, Vga };
enum class Parity : uint8_t { None, Odd, Even, Mark, Space };

struct SerialOptions {   // com1=, com2=
    uint32_t baud;       // 0: as firmware left the line ("auto")
    uint32_t base_baud;  // of a divisor of 1
    uint16_t io_base;
    uint8_t irq;  // ISA; 0: polled
    uint8_t data_bits, stop_bits;
    Parity parity;
    uint8_t reserved[2];
};

enum class VgaMode : uint8_t { Current, Text, Graphics };
struct VgaOptions {  // vga=
    VgaMode mode;
    uint8_t reserved;
    uint16_t rows;                 // Text: of 80 characters
    uint16_t width, height, bits;  // Graphics: pixels, bits a pixel
};

enum class ResetMethod : uint8_t { Default, Triple, Keyboard, Acpi, Pci, Power };

// A size of dom0_mem=: bytes and a part of all memory; negative bytes: so much less than all.
struct MemoryWish {
    int64_t bytes;
    uint32_t percent;
    uint32_t given;
};

struct BootOptions {
    ConsoleDevice console[4];  // in order; None ends the list
    SerialOptions com[2];
    VgaOptions vga;
    // How many of error, warning, info and debug are logged: 0 none, 4 all.
    uint32_t loglvl, guest_loglvl;
    uint64_t conring_size;  // a power of two
    uint64_t mem;           // RAM from this address on is not used; 0: no limit
    uint32_t maxcpus;       // 0: no limit
    uint8_t nosmp, smt;
    uint8_t ibpb;  // spec-ctrl=
    uint8_t iommu_required;
    uint8_t sync_console;
    uint8_t noreboot;  // also reboot=no
    ResetMethod reboot_method;
    uint8_t warm_reboot;
    uint8_t watchdog;
    uint8_t selftest;  // Bulkhead's own: dom0 runs it before its first prompt
    uint8_t reserved[6];
    uint32_t watchdog_timeout;  // seconds; 0: the default
    MemoryWish dom0_mem, dom0_mem_min, dom0_mem_max;
};
static_assert(sizeof(SerialOptions) == 16 && sizeof(VgaOptions) == 10 && sizeof(MemoryWish) == 16);
static_assert(sizeof(BootOptions) == 144);

inline constexpr SerialOptions kDefaultSerial[2] = {{.baud = 115200,
                                                     .base_baud = 115200,
                                                     .io_base = 0x3f8,
                                                     .irq = 4,
                                                     .data_bits = 8,
                                                     .stop_bits = 1,
                                                     .parity = Parity::None,
                                                     .reserved = {}},
                                                    {.baud = 115200,
                                                     .base_baud = 115200,
                                                     .io_base = 0x2f8,
                                                     .irq = 3,
                                                     .data_bits = 8,
                                                     .stop_bits = 1,
                                                     .parity = Parity::None,
                                                     .reserved = {}}};

// What holds without options. Not by member initialisers: boot code copies and clears BootInfo as bytes.
constexpr BootOptions default_options() {
    BootOptions options{};
    options.console[0] = ConsoleDevice::Com1;
    options.console[1] = ConsoleDevice::Vga;
    options.com[0] = kDefaultSerial[0];
    options.com[1] = kDefaultSerial[1];
    options.loglvl = options.guest_loglvl = 3;
    options.conring_size = 128 << 10;
    options.smt = options.ibpb = 1;
    return options;
}

constexpr const SerialOptions& serial(const BootOptions& options, ConsoleDevice port) {
    return options.com[port == ConsoleDevice::Com2 ? 1 : 0];
}
// The serial port that carries dom0's prompt: the first one of console=, or None.
constexpr ConsoleDevice first_serial(const BootOptions& options) {
    for (const ConsoleDevice device : options.console) {
        if (device == ConsoleDevice::None) break;
        if (device != ConsoleDevice::Vga) return device;
    }
    return ConsoleDevice::None;
}
constexpr bool has_console(const BootOptions& options, ConsoleDevice wanted) {
    for (const ConsoleDevice device : options.console) {
        if (device == ConsoleDevice::None) break;
        if (device == wanted) return true;
    }
    return false;
}

}  // namespace bulkhead::abi
