// SPDX-License-Identifier: Apache-2.0
// One line of text from the machine layer, built on the stack: klog("cpu ", n, ": ", Hex{x}, "\n"). Goes to
// the kernel log, and from there to COM1. No allocation, truncates at 240 characters.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace bulkhead::arch {

struct Hex {
    uint64_t value;
};

class Line {
  public:
    void add(const char* text) {
        while (*text != '\0' && used_ < sizeof(text_)) text_[used_++] = *text++;
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

void uart_init();
void log_line(const Line&);    // kernel log and COM1
void panic_line(const Line&);  // the same without any lock

template <typename... Parts>
void klog(Parts... parts) {
    Line line;
    (line.add(parts), ...);
    log_line(line);
}
template <typename... Parts>
void kpanic_print(Parts... parts) {
    Line line;
    (line.add(parts), ...);
    panic_line(line);
}

}  // namespace bulkhead::arch
