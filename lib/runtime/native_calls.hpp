// SPDX-License-Identifier: Apache-2.0
// What programs may ask of their personality beyond Linux: pseudo system calls with numbers that Linux does
// not use. They reach the personality like any Linux call. Thread-safe.
#pragma once

#include <stdint.h>

namespace bulkhead::runtime {

enum class NativeCall : uint64_t {
    RegisterFixup =
        0x1000,  // (start, end, landing) for all threads, also future ones: replaces what was registered
    SetWallClock = 0x1001,  // (nanoseconds): CLOCK_REALTIME minus CLOCK_MONOTONIC
    MemoryInfo = 0x1002,    // (MemoryInfo*)
};

// What the personality uses, for tests and `xl info`.
struct MemoryInfo {
    uint64_t committed_bytes;  // mapped for the program
    uint64_t held_bytes;       // taken from the Untypeds, used or kept for reuse
    uint64_t untyped_free_bytes;
    uint64_t slots_used, slots;
    uint64_t threads, thread_blocks;  // alive; ever made
};

#ifdef BULKHEAD_FAKE_KERNEL
inline int64_t native_call(NativeCall, uint64_t, uint64_t, uint64_t) {
    return 0;
}
#else
inline int64_t native_call(NativeCall number, uint64_t a0, uint64_t a1, uint64_t a2) {
    auto result = static_cast<int64_t>(number);
    asm volatile("syscall" : "+a"(result) : "D"(a0), "S"(a1), "d"(a2) : "rcx", "r11", "memory");
    return result;
}
#endif

inline bool register_fixup(const void* start, const void* end, const void* landing) {
    return native_call(NativeCall::RegisterFixup, reinterpret_cast<uint64_t>(start),
                       reinterpret_cast<uint64_t>(end), reinterpret_cast<uint64_t>(landing)) == 0;
}
inline bool set_wall_clock(uint64_t realtime_minus_monotonic_ns) {
    return native_call(NativeCall::SetWallClock, realtime_minus_monotonic_ns, 0, 0) == 0;
}
inline bool memory_info(MemoryInfo& out) {
    return native_call(NativeCall::MemoryInfo, reinterpret_cast<uint64_t>(&out), 0, 0) == 0;
}

}  // namespace bulkhead::runtime
