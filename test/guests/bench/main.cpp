// SPDX-License-Identifier: Apache-2.0
// The benchmark guest: what exits and xenstore cost as a guest sees it, by its own RDTSC. Prints BENCH lines,
// then BENCH-END, and powers off.
#include "test/guests/bench/store.hpp"

namespace bulkhead::guest {
namespace {

constexpr unsigned kWarmUp = 50, kSamples = 501, kStoreSamples = 101;

uint64_t tsc() {
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t{high} << 32) | low;
}

class Line {
  public:
    explicit Line(const char* first) { text(first); }
    Line& text(const char* s) {
        while (*s && used_ < sizeof buffer_ - 1) buffer_[used_++] = *s++;
        return *this;
    }
    Line& number(uint64_t n) {
        char digits[21];
        unsigned at = 20;
        digits[at] = 0;
        do {
            digits[--at] = static_cast<char>('0' + n % 10);
            n /= 10;
        } while (n != 0);
        return text(digits + at);
    }
    void print(const Xen& xen) {
        buffer_[used_++] = '\n';
        xen.print(buffer_, used_);
    }

  private:
    char buffer_[128];
    size_t used_ = 0;
};

void sort(uint64_t* values, unsigned count) {
    for (unsigned i = 1; i < count; ++i)
        for (unsigned j = i; j != 0 && values[j] < values[j - 1]; --j) {
            const uint64_t v = values[j];
            values[j] = values[j - 1];
            values[j - 1] = v;
        }
}

uint64_t ticks[kSamples];

template <typename Operation>
uint64_t median(Operation&& operation, unsigned samples) {
    for (unsigned i = 0; i < kWarmUp; ++i) operation();
    for (unsigned i = 0; i < samples; ++i) {
        const uint64_t begin = tsc();
        operation();
        ticks[i] = tsc() - begin;
    }
    sort(ticks, samples);
    return ticks[samples / 2];
}

template <typename Operation>
void measure(const Xen& xen, const char* name, Operation&& operation, unsigned samples = kSamples) {
    const uint64_t overhead = median(
        []() __attribute__((always_inline)) { asm volatile(""); }, kSamples);
    Line{"BENCH "}
        .text(name)
        .text(" ")
        .number(median(operation, samples) - overhead)
        .text(" instructions")
        .print(xen);
}

void exits(const Xen& xen) {
    measure(
        xen, "guest.cpuid", []() __attribute__((always_inline)) {
            uint32_t eax = 1, ebx, ecx = 0, edx;
            asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        });
    measure(
        xen, "guest.hypercall_xen_version", [&]() __attribute__((always_inline)) { (void)xen.version(); });
    measure(
        xen, "guest.rdmsr_apic_base", []() __attribute__((always_inline)) {
            uint32_t low, high;
            asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
        });
    volatile uint32_t* const apic = reinterpret_cast<volatile uint32_t*>(uint64_t{0xfee00000});
    measure(
        xen, "guest.apic_mmio_read", [=]() __attribute__((always_inline)) { (void)apic[0x20 / 4]; });
    measure(
        xen, "guest.apic_mmio_write_tpr", [=]() __attribute__((always_inline)) { apic[0x80 / 4] = 0; });
}

void store(const Xen& xen) {
    static Store store{xen};
    constexpr char kPath[] = "data/bench", kValue[] = "0123456789";
    if (!store.present()) {
        Line{"bench-guest: there is no xenstore ring; its figures are left out"}.print(xen);
        return;
    }
    unsigned wrong = 0;
    if (!store.write(0, kPath, kValue)) {
        Line{"bench-guest: xenstore refuses to write data/bench; its figures are left out"}.print(xen);
        return;
    }
    measure(
        xen, "xenstore.guest_write", [&] { wrong += !store.write(0, kPath, kValue); }, kStoreSamples);
    measure(
        xen, "xenstore.guest_read", [&] { wrong += !store.read(0, kPath, kValue); }, kStoreSamples);
    measure(
        xen, "xenstore.guest_transaction",
        [&] {
            uint32_t transaction = 0;
            wrong += !store.start(transaction) || !store.read(transaction, kPath, kValue) ||
                     !store.write(transaction, kPath, kValue) || !store.end(transaction);
        },
        kStoreSamples);
    if (wrong != 0)
        Line{"bench-guest: "}
            .number(wrong)
            .text(" requests to xenstore failed: its figures are worth nothing")
            .print(xen);
}

}  // namespace
}  // namespace bulkhead::guest

extern "C" void bench_main() {
    using namespace bulkhead::guest;
    const Xen xen;
    exits(xen);
    store(xen);
    Line{"BENCH-END"}.print(xen);
    xen.power_off();
}

// What the compiler may call without being asked.
extern "C" void* memcpy(void* to, const void* from, size_t bytes) {
    auto* d = static_cast<volatile char*>(to);
    for (size_t i = 0; i < bytes; ++i) d[i] = static_cast<const char*>(from)[i];
    return to;
}
extern "C" void* memset(void* to, int value, size_t bytes) {
    auto* d = static_cast<volatile char*>(to);
    for (size_t i = 0; i < bytes; ++i) d[i] = static_cast<char>(value);
    return to;
}
