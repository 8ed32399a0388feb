// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/log.hpp"

#include "abi/boot_options.hpp"
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

constexpr uint64_t kEarlyBytes = 16 << 10;
constexpr unsigned kBuckets = 64;
constexpr uint64_t kBurstBytes = 64 << 10;      // a domain may write this much at once,
constexpr uint64_t kBytesPerSecond = 16 << 10;  // and this much a second after that

char early_text[kEarlyBytes];

struct Ring {
    char* text;
    uint64_t bytes;    // a power of two
    uint64_t written;  // ever
    uint64_t cleared;  // nothing before this is shown
    uint32_t levels, guest_levels;
    bool uart_off, keep_uart;

    char& at(uint64_t position) { return text[position & (bytes - 1)]; }
};
Ring ring{.text = early_text,
          .bytes = kEarlyBytes,
          .written = 0,
          .cleared = 0,
          .levels = abi::default_options().loglvl,
          .guest_levels = abi::default_options().guest_loglvl,
          .uart_off = false,
          .keep_uart = false};

// Domains whose tags fall into the same bucket share its allowance.
struct Allowance {
    uint64_t used, since, dropped;
};
Allowance allowance[kBuckets];

uint64_t oldest() {
    const uint64_t kept = ring.written > ring.bytes ? ring.written - ring.bytes : 0;
    return kept > ring.cleared ? kept : ring.cleared;
}

}  // namespace

void log_choose(uint32_t levels, uint32_t guest_levels, bool keep_uart) {
    ring.levels = levels;
    ring.guest_levels = guest_levels;
    ring.keep_uart = keep_uart;
}

void log_move(char* memory, uint64_t bytes) {
    Ring next = ring;
    next.text = memory;
    next.bytes = bytes;
    for (uint64_t i = oldest(); i < ring.written; ++i) next.at(i) = ring.at(i);
    ring = next;
}

bool log_wants(abi::LogLevel level) {
    return static_cast<uint64_t>(level) < ring.levels;
}

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
        line.text("wrote too fast: ").number(a.dropped).text(" bytes of its log are lost").write();
        a.dropped = 0;
    }
    return true;
}

void log_text(const char* text, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) ring.at(ring.written++) = text[i];
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

void LogLine::end(abi::LogLevel level) {
    if (!log_wants(level)) return;
    write();
}

void LogLine::write() {
    line_[length_++] = '\n';
    log_text(line_, length_);
}

Status sys_log_write(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Log, rights::kWrite);
    if (!slot) return slot.status();
    if (t.buffer == nullptr) return Status::NotReady;
    if (u.rsi > sizeof t.buffer->data || u.rdx > static_cast<uint64_t>(abi::LogLevel::Debug))
        return Status::BadArgument;
    if (u.rdx >= (slot->badge == abi::kLogOfGuest ? ring.guest_levels : ring.levels)) return Status::Ok;
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
        line.write();
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
        t.buffer->data[bytes++] = static_cast<uint8_t>(ring.at(cursor));
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
        ring.uart_off = (u.rsi & abi::kLogUartOff) != 0 && !ring.keep_uart;
        arch::uart_enable(!ring.uart_off);
    }
    return Status::Ok;
}

}  // namespace bulkhead::core
