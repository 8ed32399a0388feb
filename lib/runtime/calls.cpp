// SPDX-License-Identifier: Apache-2.0
// The small calls: identity, files that do not exist, limits, randomness. See call_table.S for which number
// is whose.
#include "lib/cap/clock.hpp"
#include "lib/runtime/frames.hpp"
#include "lib/runtime/native_calls.hpp"

namespace bulkhead::runtime {

namespace {

struct Stat {  // Linux x86-64
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, padding;
    uint64_t rdev;
    int64_t size, block_size, blocks;
    uint64_t times[6], unused[3];
};
static_assert(sizeof(Stat) == 144);

struct Limit {
    uint64_t now, most;
};

struct Sysinfo {
    int64_t uptime;
    uint64_t loads[3], total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
    uint16_t procs, padding;
    uint64_t total_high, free_high;
    uint32_t mem_unit;
};

void copy_text(char* to, const char* from) {
    while ((*to++ = *from++)) {
    }
}

uint64_t free_memory() {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < state.start->runtime_untyped.count; ++i) {
        const auto info = sys::untyped_info(CapAddr{0, state.start->runtime_untyped.first + i});
        if (info.ok()) bytes += info.free_bytes;
    }
    return bytes;
}

// A terminal for fstat: glibc then buffers by lines and asks nothing further.
int64_t character_device(uint64_t fd, Stat& out) {
    if (fd > 2) return kBadFile;
    out = {};
    out.mode = 0020620;
    out.nlink = 1;
    out.rdev = 136 << 8;
    out.block_size = 1024;
    return 0;
}

bool has_rdrand() {
    uint32_t a = 1, b, c = 0, d;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (c >> 30) & 1;
}

bool rdrand(uint64_t& out) {
    for (int i = 0; i < 16; ++i) {
        bool ok;
        asm volatile("rdrand %0" : "=r"(out), "=@ccc"(ok));
        if (ok) return true;
    }
    return false;
}

// Without RDRAND: TSC jitter through a mixer. Good enough for hash seeds and stack canaries, not for keys.
uint64_t weak_random() {
    static uint64_t pool;
    pool += cap::read_tsc() + 0x9e3779b97f4a7c15u;
    uint64_t x = pool;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

}  // namespace

extern "C" {

int64_t call_zero() {
    return 0;
}
int64_t call_one() {
    return 1;
}
int64_t call_no_file() {
    return kNoEntry;
}
int64_t call_read() {
    return 0;
}  // end of file: input comes by a ring
int64_t call_close() {
    return 0;
}
int64_t call_lseek() {
    return kSeekPipe;
}
int64_t call_ioctl() {
    return kNotTty;
}
int64_t call_fcntl(uint64_t fd) {
    return fd > 2 ? int64_t{kBadFile} : 2;
}
int64_t call_prctl(uint64_t what) {
    return what == 15 ? 0 : int64_t{kInvalid};
}  // PR_SET_NAME
int64_t call_yield() {
    cap::drop(sys::yield());
    return 0;
}

int64_t call_fstat(uint64_t fd, Stat* out) {
    return character_device(fd, *out);
}
int64_t call_newfstatat(uint64_t fd, const char* path, Stat* out, uint64_t) {
    return path && *path ? int64_t{kNoEntry} : character_device(fd, *out);
}

int64_t call_sigaction(uint64_t, const void*, uint64_t* old) {
    if (old) zero_words(old, 32);
    return 0;
}
int64_t call_sigprocmask(uint64_t, const void*, uint64_t* old) {
    if (old) *old = 0;
    return 0;
}

int64_t call_arch_prctl(uint64_t what, uint64_t value) {
    if (what == 0x1002) {  // ARCH_SET_FS
        asm volatile("wrfsbase %0" : : "r"(value));
        return 0;
    }
    if (what == 0x1003) {  // ARCH_GET_FS
        asm volatile("rdfsbase %0" : "=r"(*reinterpret_cast<uint64_t*>(value)));
        return 0;
    }
    return kInvalid;
}

int64_t call_uname(char* out) {
    constexpr unsigned kField = 65;
    zero_words(out, 6 * kField - 6);
    copy_text(out, "Linux");
    copy_text(out + kField, state.start->name);
    copy_text(out + 2 * kField, "5.10.0-bulkhead");
    copy_text(out + 3 * kField, "Bulkhead");
    copy_text(out + 4 * kField, "x86_64");
    out[5 * kField] = 0;
    return 0;
}

static int64_t limit(uint64_t resource, Limit* out) {
    constexpr uint64_t kStack = 3, kStackBytes = 256 * 1024;  // thread stacks: committed whole, so small
    if (out && resource == kStack)
        *out = {kStackBytes, kStackBytes};
    else if (out)
        *out = {~uint64_t{0}, ~uint64_t{0}};
    return 0;
}
int64_t call_getrlimit(uint64_t resource, Limit* out) {
    return limit(resource, out);
}
int64_t call_prlimit(uint64_t, uint64_t resource, const Limit* wanted, Limit* out) {
    return wanted ? int64_t{kPerm} : limit(resource, out);
}

int64_t call_sysinfo(Sysinfo* out) {
    *out = {};
    const Locked lock{state.memory_lock};
    out->free_ram = free_memory();
    out->total_ram = out->free_ram + frame_use().held;
    out->uptime = static_cast<int64_t>(monotonic_ns() / 1'000'000'000);
    out->procs = 1;
    out->mem_unit = 1;
    return 0;
}

// One CPU: all threads share the domain's scheduling context.
int64_t call_sched_getaffinity(uint64_t, uint64_t bytes, uint64_t* mask) {
    if (bytes < 8) return kInvalid;
    *mask = 1;
    return 8;
}

int64_t call_getrandom(uint8_t* out, uint64_t bytes, uint64_t) {
    static const bool strong = has_rdrand();
    for (uint64_t i = 0; i < bytes;) {
        uint64_t word = 0;
        if (!strong || !rdrand(word)) word = weak_random();
        for (unsigned k = 0; k < 8 && i < bytes; ++k, ++i, word >>= 8) out[i] = static_cast<uint8_t>(word);
    }
    return static_cast<int64_t>(bytes);
}

int64_t call_memory_info(MemoryInfo* out) {
    const Locked lock{state.memory_lock};
    const FrameUse use = frame_use();
    *out = {use.committed, use.held, free_memory(), use.slots_used, use.slots, state.alive, state.blocks};
    return 0;
}

}  // extern "C"

}  // namespace bulkhead::runtime
