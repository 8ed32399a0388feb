// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/clock.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/core/arch.hpp"

namespace bulkhead::init {
namespace {

constexpr uint64_t kPitHz = 1193182;
constexpr uint16_t kPitCount = 11932;  // 10 ms
uint64_t tsc_khz;

// Two clocks over one count of the 8254. `doubt`: ticks during which we cannot say whether the count had
// begun or ended; an SMI or a busy emulator host in the wrong moment makes it large.
struct Sample {
    uint64_t tsc, lapic, doubt;
};

// Channel 2 in mode 0, gated by port 0x61: its output rises when the count ends.
bool measure(Sample& sample) {
    using namespace arch;
    outb(0x61, static_cast<uint8_t>((inb(0x61) & ~3u)));
    outb(0x43, 0xb0);
    outb(0x42, kPitCount & 0xff);
    outb(0x42, kPitCount >> 8);
    const uint8_t gate = static_cast<uint8_t>(inb(0x61) | 1u);
    const uint64_t before = rdtsc();
    outb(0x61, gate);
    lapic::timer_calibrate_begin();
    const uint64_t start = rdtsc();
    uint64_t last = start, end = start, polls = 0;
    while ((inb(0x61) & 0x20) == 0) {
        last = end;
        end = rdtsc();
        if (++polls > 10'000'000) return false;
    }
    end = rdtsc();
    const uint64_t lapic = lapic::timer_calibrate_elapsed();
    sample = {end - start, lapic, (start - before) + (rdtsc() - last)};
    return true;
}

}  // namespace

uint64_t calibrate_clocks() {
    constexpr unsigned kTries = 12;
    Sample best{0, 0, ~uint64_t{0}};
    for (unsigned i = 0; i < kTries && (best.tsc == 0 || best.doubt > best.tsc / 2000); ++i) {
        Sample s;
        if (measure(s) && s.doubt < best.doubt) best = s;
    }
    if (best.lapic == 0) arch::panic("the 8254 timer does not count: the clocks cannot be calibrated");
    tsc_khz = best.tsc * kPitHz / kPitCount / 1000;
    if (!arch::features.amd && arch::cpuid(0).eax >= 0x15) {
        const arch::CpuidResult r = arch::cpuid(0x15);  // TSC = crystal * EBX / EAX
        if (r.eax != 0 && r.ebx != 0 && r.ecx != 0) tsc_khz = uint64_t{r.ecx} * r.ebx / r.eax / 1000;
    }
    arch::lapic::timer_set_ratio((best.lapic << 32) / best.tsc);
    return tsc_khz;
}

void delay_us(uint64_t us) {
    const uint64_t end = arch::rdtsc() + us * tsc_khz / 1000;
    while (arch::rdtsc() < end) arch::cpu_relax();
}

}  // namespace bulkhead::init
