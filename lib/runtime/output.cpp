// SPDX-License-Identifier: Apache-2.0
// What the program writes to its standard output and error goes to the kernel log, line by line: pieces of a
// line are kept until its end, so that lines of different domains do not mix.
#include "lib/runtime/state.hpp"

namespace bulkhead::runtime {

namespace {

struct Line {
    char text[512];
    uint32_t bytes;
};
Line lines[2];  // of stdout and stderr

void flush(Line& line) {
    if (line.bytes == 0) return;
    uint8_t* to = current().ipc_buffer->data;
    for (uint32_t i = 0; i < line.bytes; ++i) to[i] = static_cast<uint8_t>(line.text[i]);
    const auto level = &line == &lines[0] ? abi::LogLevel::Info : abi::LogLevel::Warning;
    cap::drop(sys::log_write(CapAddr{0, abi::start::kLog}, line.bytes, level));
    line.bytes = 0;
}

void append(Line& line, const char* text, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; ++i) {
        line.text[line.bytes++] = text[i];
        if (text[i] == '\n' || line.bytes == sizeof(line.text)) flush(line);
    }
}

struct Vector {
    const char* base;
    uint64_t bytes;
};

}  // namespace

// Without the lock: only at the end, when all other threads are stopped.
void flush_output() {
    for (Line& line : lines) flush(line);
}

void log_text(const char* text) {
    uint64_t bytes = 0;
    while (text[bytes]) ++bytes;
    append(lines[1], text, bytes);
}

extern "C" {

int64_t call_write(uint64_t fd, const char* text, uint64_t bytes) {
    if (fd != 1 && fd != 2) return kBadFile;
    const Locked lock{state.output_lock};
    append(lines[fd - 1], text, bytes);
    return static_cast<int64_t>(bytes);
}

int64_t call_writev(uint64_t fd, const Vector* vectors, uint64_t count) {
    if (fd != 1 && fd != 2) return kBadFile;
    if (count > 1024) return kInvalid;
    const Locked lock{state.output_lock};
    int64_t total = 0;
    for (uint64_t i = 0; i < count; ++i) {
        append(lines[fd - 1], vectors[i].base, vectors[i].bytes);
        total += static_cast<int64_t>(vectors[i].bytes);
    }
    return total;
}

}  // extern "C"

}  // namespace bulkhead::runtime
