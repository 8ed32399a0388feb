// SPDX-License-Identifier: Apache-2.0
// console=, com1=, com2=
#include "boot/options/handlers.hpp"

namespace bulkhead::boot {
namespace {

using abi::ConsoleDevice;
using abi::SerialOptions;

constexpr const char* kSyntax =
    "BAUD[/BASE-BAUD][,DPS][,IO-BASE][,IRQ] or name=value pairs, as 115200,8n1,0x3f8,4";
constexpr const char* kPciPort = "serial ports behind PCI are not found yet; give its I/O port and interrupt";

// Fills a copy of the settings; what goes wrong is told once.
class Port {
  public:
    explicit Port(const Word& word) : word_{word} {}

    void positional(unsigned index, std::string_view text) {
        if (text.empty()) return;
        switch (index) {
            case 0: return bauds(text);
            case 1: return data_parity_stop(text);
            case 2: return text == "pci" || text == "amt" ? unsupported(text, kPciPort) : io_base(text);
            case 3: return irq(text);
            case 4:
            case 5: return unsupported(text, kPciPort);
            default: return malformed(text);
        }
    }

    void named(const text::Item& item) {
        const std::string_view value = item.value;
        if (item.name == "baud") return bauds(value);
        if (item.name == "clock-hz") return clock(value);
        if (item.name == "data-bits") return data_bits(value);
        if (item.name == "parity") return value.size() == 1 ? parity(value[0], value) : malformed(item.all);
        if (item.name == "stop-bits") return stop_bits(value);
        if (item.name == "io-base") return io_base(value);
        if (item.name == "irq") return irq(value);
        if (item.name == "dev" || item.name == "port" || item.name == "bridge")
            return unsupported(item.all, kPciPort);
        if (item.name == "reg-width" || item.name == "reg-shift") return registers(item);
        malformed(item.all);
    }

    SerialOptions settings{};
    bool ok() {
        const uint32_t divisor = settings.baud == 0 ? 1 : settings.base_baud / settings.baud;
        if (ok_ && (divisor == 0 || divisor > 0xffff)) malformed(word_.value);
        return ok_;
    }

  private:
    void malformed(std::string_view part) {
        if (ok_) word_.malformed(part, kSyntax);
        ok_ = false;
    }
    void unsupported(std::string_view part, const char* why) {
        if (ok_) word_.unsupported(part, why);
        ok_ = false;
    }

    void bauds(std::string_view text) {
        std::string_view base = text;
        const std::string_view baud = text::take(base, '/');
        const auto number = text::natural(baud, 1, 100'000'000), high = text::natural(base, 1, 100'000'000);
        if ((!number && baud != "auto") || (!base.empty() && !high)) return malformed(text);
        settings.baud = number.value_or(0);
        if (high) settings.base_baud = *high;
    }
    void clock(std::string_view text) {  // a 16550 divides its clock by 16 before the divisor
        const auto number = text::natural(text, 16, 1'600'000'000);
        if (!number) return malformed(text);
        settings.base_baud = *number / 16;
    }
    void data_parity_stop(std::string_view text) {
        if (text.size() != 3) return malformed(text);
        data_bits(text::first(text, 1));
        parity(text[1], text);
        stop_bits(text::without(text, 2));
    }
    void data_bits(std::string_view text) {
        const auto bits = text::natural(text, 5, 8);
        if (!bits) return malformed(text);
        settings.data_bits = static_cast<uint8_t>(*bits);
    }
    void parity(char c, std::string_view text) {
        constexpr std::string_view kLetters = "noems";
        const size_t which = text::find(kLetters, c);
        if (which == kLetters.size()) return malformed(text);
        settings.parity = static_cast<abi::Parity>(which);
    }
    void stop_bits(std::string_view text) {
        const auto bits = text::natural(text, 1, 2);
        if (!bits) return malformed(text);
        settings.stop_bits = static_cast<uint8_t>(*bits);
    }
    void io_base(std::string_view text) {
        const auto port = text::natural(text);
        if (!port || *port == 0) return malformed(text);
        if (*port > 0xfff8)
            return unsupported(text, "serial ports in memory are not supported, only I/O ports");
        settings.io_base = static_cast<uint16_t>(*port);
    }
    void irq(std::string_view text) {
        const auto number = text::natural(text);
        if (text == "msi" || (number && *number > 15))
            return unsupported(text, "only ISA interrupts (1 to 15), or 0 for polling");
        if (!number) return malformed(text);
        settings.irq = static_cast<uint8_t>(*number);
    }
    void registers(const text::Item& item) {
        const auto value = text::natural(item.value);
        const uint64_t usual = item.name == "reg-width" ? 1 : 0;
        if (!value) return malformed(item.all);
        if (*value != usual) unsupported(item.all, "only registers of one byte, one after the other");
    }

    const Word& word_;
    bool ok_ = true;
};

void option_com(const Word& word, SerialOptions& settings) {
    Port port{word};
    port.settings = settings;
    unsigned index = 0;
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, kSyntax);
    while (!rest.empty()) {
        const text::Item item = text::item(text::take(rest, ','));
        item.has_value ? port.named(item) : port.positional(index++, item.all);
    }
    if (port.ok()) settings = port.settings;
}

ConsoleDevice device_of(std::string_view name) {
    return name == "com1"   ? ConsoleDevice::Com1
           : name == "com2" ? ConsoleDevice::Com2
           : name == "vga"  ? ConsoleDevice::Vga
                            : ConsoleDevice::None;
}

bool is_other_console(std::string_view name) {
    for (const std::string_view other : {"pv", "dbgp", "ehci", "xhci"})
        if (text::begins(name, other)) return true;
    return false;
}

}  // namespace

void option_com1(const Word& word) {
    option_com(word, word.options.com[0]);
}
void option_com2(const Word& word) {
    option_com(word, word.options.com[1]);
}

void option_console(const Word& word) {
    constexpr const char* kExpected = "a list of vga, com1, com2, or none alone";
    abi::BootOptions chosen{};
    unsigned count = 0;
    std::string_view rest = word.value;
    if (rest == "none") {
        rest = {};
    } else if (rest.empty()) {
        return word.malformed({}, kExpected);
    }
    while (!rest.empty()) {
        std::string_view name = text::take(rest, ',');
        if (name.size() == 5 && (name[4] == 'H' || name[4] == 'L') && text::begins(name, "com")) {
            word.unsupported(name, "a line is not shared by its characters' highest bit; it is used whole");
            name.remove_suffix(1);
        }
        const ConsoleDevice device = device_of(name);
        if (device == ConsoleDevice::None && !is_other_console(name)) return word.malformed(name, kExpected);
        if (device == ConsoleDevice::None)
            word.unsupported(name, "there is no such console yet (known: com1, com2, vga)");
        else if (!abi::has_console(chosen, device))
            chosen.console[count++] = device;
    }
    if (count == 0 && word.value != "none") return;
    for (unsigned i = 0; i < 4; ++i) word.options.console[i] = chosen.console[i];
}

}  // namespace bulkhead::boot
