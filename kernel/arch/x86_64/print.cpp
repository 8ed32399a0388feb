// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/print.hpp"

#include "kernel/core/arch.hpp"

namespace bulkhead::arch {

// Boot messages are written before anybody else runs; panics by a CPU that stopped the others: neither takes
// the lock.
void log_line(abi::LogLevel level, const Line& line) {
    if (core::log_wants(level)) panic_line(line);
}
void panic_line(const Line& line) {
    core::log_panic(line.text(), line.bytes());
}

}  // namespace bulkhead::arch

extern "C" [[noreturn]] void __cxa_pure_virtual() {
    bulkhead::arch::panic("a pure virtual function was called");
}
