// SPDX-License-Identifier: Apache-2.0
// That system calls and preemption leave a thread's registers alone: all general ones, x87, MXCSR, ymm where
// there are any, and the red zone of leaf functions.
#include <cpuid.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

std::atomic<uint64_t> wrong = 0;

// A leaf function keeps a value below RSP, where no call may write.
[[gnu::noinline]] uint64_t red_zone(uint64_t number, uint64_t value) {
    uint64_t result = number, kept = 0;
    asm volatile(
        "mov %[value], -8(%%rsp)\n"
        "mov %[value], -64(%%rsp)\n"
        "mov %[value], -128(%%rsp)\n"
        "syscall\n"
        "mov -8(%%rsp), %[kept]\n"
        "cmp %[kept], -64(%%rsp)\n"
        "je 1f\n"
        "mov $0, %[kept]\n"
        "1: cmp %[kept], -128(%%rsp)\n"
        "je 2f\n"
        "mov $0, %[kept]\n"
        "2:\n"
        : "+a"(result), [kept] "=&r"(kept)
        : [value] "r"(value)
        : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory", "cc");
    return kept;
}

// Every register but RAX, RCX, R11 and RSP holds its own pattern across a call.
[[gnu::noinline]] uint64_t general(uint64_t number, uint64_t seed) {
    uint64_t bad = 0;
    asm volatile(
        "push %%rbp\n"
        "mov %%rdx, %%rbx\n lea 1(%%rdx), %%rsi\n lea 2(%%rdx), %%rdi\n lea 3(%%rdx), %%rbp\n"
        "lea 4(%%rdx), %%r8\n lea 5(%%rdx), %%r9\n lea 6(%%rdx), %%r10\n lea 7(%%rdx), %%r12\n"
        "lea 8(%%rdx), %%r13\n lea 9(%%rdx), %%r14\n lea 10(%%rdx), %%r15\n"
        "syscall\n"
        "xor %%eax, %%eax\n"
        ".macro same register, by\n lea \\by(%%rdx), %%rcx\n cmp %%rcx, \\register\n setne %%cl\n or %%cl, "
        "%%al\n.endm\n"
        "same %%rbx, 0\n same %%rsi, 1\n same %%rdi, 2\n same %%rbp, 3\n same %%r8, 4\n same %%r9, 5\n same "
        "%%r10, 6\n"
        "same %%r12, 7\n same %%r13, 8\n same %%r14, 9\n same %%r15, 10\n"
        ".purgem same\n"
        "pop %%rbp\n"
        : "=a"(bad)
        : "a"(number), "d"(seed)
        : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return bad & 0xff;
}

// Flags that a program may have set: direction, alignment check, nested task. The call works as ever.
// (Whether they are still set after it differs: a stub domain's calls are calls, and leave them clear.)
[[gnu::noinline]] void odd_flags(uint64_t number) {
    constexpr uint64_t kOdd = 1 << 10 | 1 << 14 | 1 << 18;
    uint64_t result = number;
    asm volatile(
        "sub $128, %%rsp\n"
        "pushfq\n orq %[odd], (%%rsp)\n popfq\n"
        "syscall\n"
        "pushfq\n"
        "mov %[odd], %%rcx\n not %%rcx\n andq %%rcx, (%%rsp)\n popfq\n"
        "add $128, %%rsp\n"
        : "+a"(result)
        : [odd] "r"(kOdd)
        : "rcx", "r11", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory", "cc");
    if (number == 39 && static_cast<int64_t>(result) <= 0) ++wrong;
    if (number == 999 && result != static_cast<uint64_t>(-38)) ++wrong;
}

bool has_avx() {
    unsigned a, b, c = 0, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_AVX) || !(c & bit_OSXSAVE)) return false;
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

[[gnu::noinline, gnu::target("avx")]] bool vectors(uint64_t number, uint64_t seed) {
    alignas(32) uint64_t in[4] = {seed, seed + 1, seed + 2, seed + 3}, out[4] = {};
    asm volatile(
        "vmovdqa (%[in]), %%ymm3\n vmovdqa (%[in]), %%ymm15\n"
        "mov %[number], %%rax\n syscall\n"
        "vmovdqa %%ymm3, (%[out])\n vxorpd (%[in]), %%ymm15, %%ymm15\n vorpd %%ymm15, %%ymm3, %%ymm3\n "
        "vmovdqa %%ymm3, (%[out])\n"
        "vzeroupper\n"
        :
        : [in] "r"(in), [out] "r"(out), [number] "r"(number)
        : "rax", "rcx", "rdi", "rsi", "rdx", "r8", "r9", "r10", "r11", "xmm3", "xmm15", "memory");
    for (int i = 0; i < 4; ++i)
        if (out[i] != in[i]) return false;
    return true;
}

void control_words(uint32_t& mxcsr, uint16_t& fcw) {
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    asm volatile("fnstcw %0" : "=m"(fcw));
}

void hammer(unsigned thread) {
    constexpr uint64_t kNumbers[] = {39, 186, 24, 999};  // getpid, gettid, sched_yield, none
    const bool avx = has_avx();
    const uint32_t own_mxcsr = 0x1f80 | (thread % 4) << 13;  // each thread its own rounding
    asm volatile("ldmxcsr %0" : : "m"(own_mxcsr));
    long double x87 = 1.0L + thread;
    asm volatile("" : "+t"(x87));
    for (uint64_t n = 0; n < 3000; ++n) {
        const uint64_t number = kNumbers[n % 4], seed = 0x1234567800000000u + thread * 0x100000 + n * 16;
        if (red_zone(number, seed) != seed) ++wrong;
        if (general(number, seed) != 0) ++wrong;
        if (n % 8 == 0) odd_flags(number);
        if (avx && !vectors(number, seed)) ++wrong;
    }
    uint32_t mxcsr = 0;
    uint16_t fcw = 0;
    control_words(mxcsr, fcw);
    if ((mxcsr & ~0x3fu) != own_mxcsr || fcw != 0x37f || x87 != 1.0L + thread) ++wrong;
}

}  // namespace

int main() {
    uint32_t mxcsr = 0;
    uint16_t fcw = 0;
    control_words(mxcsr, fcw);
    std::printf("control words: %x %x\n", mxcsr & ~0x3fu, fcw);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 6; ++t) threads.emplace_back(hammer, t);
    for (auto& thread : threads) thread.join();
    std::printf("registers: wrong %llu\n", static_cast<unsigned long long>(wrong.load()));
    return wrong != 0;
}
