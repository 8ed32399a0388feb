// SPDX-License-Identifier: Apache-2.0
// The kernel log: one ring of text, lines of the kernel and of domains. Written to the UART as well until the
// console service takes that over. Positions are counted from the first byte ever written, so a reader's
// cursor stays valid.
#pragma once

#include "kernel/core/object.hpp"

namespace bulkhead::core {

// May this domain write so much now? If not, the loss is counted and noted in the log with the next line that
// it may write.
bool log_allowed(uint64_t domain_tag, uint64_t bytes);

// Builds one line and appends it: LogLine{tag}.text("…").number(n).end().
struct LogLine {
    explicit LogLine(uint64_t domain_tag);
    LogLine& text(const char* s);
    LogLine& number(uint64_t n);
    LogLine& hex(uint64_t n);
    void end();

  private:
    void add(char c) {
        if (length_ < sizeof line_ - 1) line_[length_++] = c;
    }
    char line_[248];
    size_t length_ = 0;
};

}  // namespace bulkhead::core
