// SPDX-License-Identifier: Apache-2.0
// One line of text from the machine layer, built on the stack: klog("cpu ", n, ": ", Hex{x}, "\n"). Goes to
// the kernel log, and from there to the serial ports. No allocation, truncates at 240 characters.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string_view>

#include "abi/log_level.hpp"

namespace bulkhead::arch {

struct Hex {
    uint64_t value;
};

class Line {
  public:
    void add(const char* text) {
        while (*text != '\0' && used_ < sizeof(text_)) text_[used_++] = *text++;
    }
    // Text of others: no character of it can disturb a terminal.
    void add(std::string_view text) {
        for (const char c : text)
            if (used_ < sizeof(text_)) text_[used_++] = c >= ' ' && c < 127 ? c : '?';
    }
    void add(uint64_t value) { number(value, 10); }
    void add(Hex hex) {
        add("0x");
        number(hex.value, 16);
    }
    const char* text() const { return text_; }
    size_t bytes() const { return used_; }

  private:
    void number(uint64_t value, unsigned base) {
        char digits[20];
        unsigned n = 0;
        do {
            digits[n++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        while (n > 0 && used_ < sizeof(text_)) text_[used_++] = digits[--n];
    }
    char text_[240];
    size_t used_ = 0;
};

void uart_init();                           // by the defaults, if nobody did it yet
void log_line(abi::LogLevel, const Line&);  // as far as loglvl= wants it
void panic_line(const Line&);               // always

template <typename... Parts>
void klog(abi::LogLevel level, Parts... parts) {
    Line line;
    (line.add(parts), ...);
    log_line(level, line);
}
template <typename... Parts>
void kpanic_print(Parts... parts) {
    Line line;
    (line.add(parts), ...);
    panic_line(line);
}

}  // namespace bulkhead::arch
