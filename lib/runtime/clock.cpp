// SPDX-License-Identifier: Apache-2.0
// Clocks from the TSC and KernelInfo. CLOCK_MONOTONIC starts with the kernel; CLOCK_REALTIME is that plus an
// offset, 0 until somebody who knows (platform) says better by SetWallClock. __vdso_clock_gettime is what
// glibc calls, without a system call.
#include "lib/cap/clock.hpp"
#include "lib/runtime/state.hpp"

namespace bulkhead::runtime {

__extension__ using u128 = unsigned __int128;
constexpr uint64_t kNs = 1'000'000'000;

void clock_initialise() {
    state.tsc_khz = state.kernel->tsc_khz ? state.kernel->tsc_khz : 1'000'000;
    state.boot_tsc = state.kernel->boot_tsc;
    state.ns_per_tick = (uint64_t{1'000'000} << 32) / state.tsc_khz;
}

uint64_t monotonic_ns() {
    const u128 scaled = u128{cap::read_tsc() - state.boot_tsc} * state.ns_per_tick;
    return static_cast<uint64_t>(scaled >> 32);
}

// Rounds up: a sleeper never wakes early.
uint64_t deadline_of(uint64_t ns) {
    const uint64_t seconds = ns / kNs, rest = ns % kNs;
    if (seconds > 1'000'000'000) return abi::kDeadlineNever - 1;
    return state.boot_tsc + seconds * state.tsc_khz * 1000 + rest * state.tsc_khz / 1'000'000 +
           state.tsc_khz / 100'000 + 2;
}

// Thread and process CPU time (2, 3) are answered with elapsed time: an honest upper bound.
static int64_t read_clock(uint64_t id, Timespec& out) {
    if (id > 11 || id == 10) return kInvalid;
    uint64_t ns = monotonic_ns();
    if (id == 0 || id == 5 || id == 8 || id == 11) ns += state.wall_offset;
    out = {static_cast<int64_t>(ns / kNs), static_cast<int64_t>(ns % kNs)};
    return 0;
}

extern "C" {

[[gnu::visibility("default")]] int __vdso_clock_gettime(uint64_t id, Timespec* out) {
    return static_cast<int>(read_clock(id & 0xffff'ffff, *out));
}

int64_t call_clock_gettime(uint64_t id, Timespec* out) {
    return read_clock(id & 0xffff'ffff, *out);
}

int64_t call_clock_getres(uint64_t id, Timespec* out) {
    if (id > 11) return kInvalid;
    if (out) *out = {0, 1};
    return 0;
}

int64_t call_gettimeofday(Timespec* out) {
    if (!out) return 0;
    const int64_t error = read_clock(0, *out);
    out->nanoseconds /= 1000;  // a timeval
    return error;
}

int64_t call_time(int64_t* out) {
    Timespec now;
    read_clock(0, now);
    if (out) *out = now.seconds;
    return now.seconds;
}

static int64_t sleep_until(uint64_t deadline) {
    // Nobody signals this thread's notification while it is in no queue; whatever comes is not for a sleeper.
    while (sys::wait(CapAddr{current().notification}, deadline).status != Status::Timeout) {
    }
    return 0;
}

int64_t call_clock_nanosleep(uint64_t id, uint64_t flags, const Timespec* request, Timespec*) {
    constexpr uint64_t kAbsolute = 1;
    if (request->seconds < 0 || request->nanoseconds < 0 || request->nanoseconds >= static_cast<int64_t>(kNs))
        return kInvalid;
    const uint64_t seconds = static_cast<uint64_t>(request->seconds);
    uint64_t ns =
        seconds > 9 * kNs ? ~uint64_t{0} >> 1 : seconds * kNs + static_cast<uint64_t>(request->nanoseconds);
    if (!(flags & kAbsolute))
        ns += monotonic_ns();
    else if (id == 0)
        ns = ns > state.wall_offset ? ns - state.wall_offset : 0;
    return sleep_until(deadline_of(ns));
}

int64_t call_nanosleep(const Timespec* request, Timespec* left) {
    return call_clock_nanosleep(1, 0, request, left);
}

int64_t call_set_wall_clock(uint64_t offset) {
    state.wall_offset = offset;
    return 0;
}

}  // extern "C"

}  // namespace bulkhead::runtime
