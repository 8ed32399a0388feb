// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/log.hpp"

#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

constexpr uint64_t kRingBytes = 128 << 10;
constexpr unsigned kBuckets = 64;
constexpr uint64_t kBurstBytes = 64 << 10;      // a domain may write this much at once,
constexpr uint64_t kBytesPerSecond = 16 << 10;  // and this much a second after that

struct Ring {
    char text[kRingBytes];
    uint64_t written;  // ever
    uint64_t cleared;  // nothing before this is shown
    bool uart_off;
};
Ring ring;

// Domains whose tags fall into the same bucket share its allowance.
struct Allowance {
    uint64_t used, since, dropped;
};
Allowance allowance[kBuckets];

uint64_t oldest() {
    const uint64_t kept = ring.written > kRingBytes ? ring.written - kRingBytes : 0;
    return kept > ring.cleared ? kept : ring.cleared;
}

}  // namespace

bool log_allowed(uint64_t tag, uint64_t bytes) {
    Allowance& a = allowance[(tag * 0x9e37'79b9'7f4a'7c15u) >> 58];
    const uint64_t now = arch::now(), per_byte = sys.tsc_khz * 1000 / kBytesPerSecond + 1;
    const uint64_t recovered = (now - a.since) / per_byte;
    if (recovered != 0) {
        a.used = a.used > recovered ? a.used - recovered : 0;
        a.since = now;
    }
    if (a.used + bytes > kBurstBytes) {
        a.dropped += bytes;
        return false;
    }
    a.used += bytes;
    if (a.dropped != 0) {
        LogLine line{tag};
        line.text("wrote too fast: ").number(a.dropped).text(" bytes of its log are lost").end();
        a.dropped = 0;
    }
    return true;
}

void log_text(const char* text, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) ring.text[ring.written++ % kRingBytes] = text[i];
    if (!ring.uart_off) arch::uart_write(text, bytes);
}

bool log_panic(const char* text, size_t bytes) {
    ring.uart_off = false;
    log_text(text, bytes);
    return true;
}

LogLine::LogLine(uint64_t domain_tag) {
    if (domain_tag == abi::kRootTag) {
        text("(root) ");
    } else {
        text("(d").number(domain_tag).text(") ");
    }
}

LogLine& LogLine::text(const char* s) {
    while (*s != '\0') add(*s++);
    return *this;
}

LogLine& LogLine::number(uint64_t n) {
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = static_cast<char>('0' + n % 10);
        n /= 10;
    } while (n != 0);
    while (count != 0) add(digits[--count]);
    return *this;
}

LogLine& LogLine::hex(uint64_t n) {
    text("0x");
    bool any = false;
    for (int shift = 60; shift >= 0; shift -= 4) {
        const unsigned digit = static_cast<unsigned>(n >> shift) & 15;
        any = any || digit != 0 || shift == 0;
        if (any) add("0123456789abcdef"[digit]);
    }
    return *this;
}

void LogLine::end() {
    line_[length_++] = '\n';
    log_text(line_, length_);
}

Status sys_log_write(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Log, rights::kWrite);
    if (!slot) return slot.status();
    if (t.buffer == nullptr) return Status::NotReady;
    if (u.rsi > sizeof t.buffer->data) return Status::BadArgument;
    if (!log_allowed(t.header.tag, u.rsi)) return Status::Truncated;
    // Line by line, each with the writer's tag; what is not printable text becomes '?', so that no line can
    // look like another's.
    const volatile uint8_t* text = t.buffer->data;
    for (uint64_t i = 0; i < u.rsi;) {
        LogLine line{t.header.tag};
        for (unsigned column = 0; i < u.rsi && column < 200; ++column) {
            const char c = static_cast<char>(text[i++]);
            if (c == '\n') break;
            const char printable[2] = {c == '\t' || (c >= ' ' && c != 127) ? c
                                       : (c & '\x80') != 0                 ? c
                                                                           : '?',
                                       '\0'};
            if (printable[0] != '\0') line.text(printable);
        }
        line.end();
    }
    return Status::Ok;
}

Status sys_log_read(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Log, rights::kRead);
    if (!slot) return slot.status();
    if (t.buffer == nullptr) return Status::NotReady;
    uint64_t cursor = u.rsi;
    if (cursor < oldest()) cursor = oldest();
    if (cursor > ring.written) cursor = ring.written;
    uint64_t bytes = 0;
    for (; cursor < ring.written && bytes < sizeof t.buffer->data; ++cursor)
        t.buffer->data[bytes++] = static_cast<uint8_t>(ring.text[cursor % kRingBytes]);
    u.rdx = bytes;
    u.r10 = cursor;
    return Status::Ok;
}

Status sys_log_control(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Log, rights::kControl);
    if (!slot) return slot.status();
    const uint64_t all = abi::kLogUartOff | abi::kLogUartOn | abi::kLogClear,
                   both = abi::kLogUartOff | abi::kLogUartOn;
    if ((u.rsi & ~all) != 0 || (u.rsi & both) == both) return Status::BadArgument;
    if ((u.rsi & abi::kLogClear) != 0) ring.cleared = ring.written;
    if ((u.rsi & both) != 0) {
        ring.uart_off = (u.rsi & abi::kLogUartOff) != 0;
        arch::uart_enable(!ring.uart_off);
    }
    return Status::Ok;
}

}  // namespace bulkhead::core
