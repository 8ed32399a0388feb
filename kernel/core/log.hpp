// SPDX-License-Identifier: Apache-2.0
// The kernel log: one ring of text, lines of the kernel and of domains. Written to the serial ports as well
// until the console service takes them over. Positions are counted from the first byte ever written, so a
// reader's cursor stays valid.
#pragma once

#include "abi/log_level.hpp"
#include "kernel/core/object.hpp"

namespace bulkhead::core {

// What the operator chose: how many of abi::LogLevel are logged (loglvl=, guest_loglvl=), and whether the
// serial port stays the kernel's too when the console service takes it (sync_console).
void log_choose(uint32_t levels, uint32_t guest_levels, bool keep_uart);

// The log's memory, a power of two of at least 16 KiB (conring_size=); before, it keeps 16 KiB.
void log_move(char* memory, uint64_t bytes);

// May this domain write so much now? If not, the loss is counted and noted in the log with the next line that
// it may write.
bool log_allowed(uint64_t domain_tag, uint64_t bytes);

// Builds one line and appends it: LogLine{tag}.text("…").number(n).end(level).
struct LogLine {
    explicit LogLine(uint64_t domain_tag);
    LogLine& text(const char* s);
    LogLine& number(uint64_t n);
    LogLine& hex(uint64_t n);
    void end(abi::LogLevel);  // as far as loglvl= wants it
    void write();             // always

  private:
    void add(char c) {
        if (length_ < sizeof line_ - 1) line_[length_++] = c;
    }
    char line_[248];
    size_t length_ = 0;
};

}  // namespace bulkhead::core
