// SPDX-License-Identifier: Apache-2.0
// What it costs the kernel to make 256 MiB of zeroed guest memory, and to take it back. Once each: there is
// no loop to warm up.
#include "test/bench/measure.hpp"
#include "test/bench/stage.hpp"

namespace bulkhead::bench {

namespace {

void tell(const char* name, uint64_t begin) {
    cap::log_line(std::string{"BENCH "} + name + ' ' + std::to_string(tsc() - begin) + " instructions");
}

}  // namespace

void memory_benchmarks() {
    constexpr unsigned kBits = 28, kFrames = 1 << (kBits - abi::kLargePageBits);
    auto& env = stage::machine().env;
    const auto table = env.memory.create<cap::CNode>(8);
    const auto memory = env.memory.untyped(kBits);
    if (!table || !memory) {
        cap::log_line("kernel_bench: the machine has too little memory for domain.zeroing_256M");
        return;
    }
    uint64_t begin = tsc();
    stage::require(sys::retype(memory->address(), abi::ObjectType::Frame, abi::kLargePageBits,
                               CapAddr{table->address().slot(), 1}, kFrames),
                   "making 256 MiB of frames");
    tell("domain.zeroing_256M", begin);
    begin = tsc();
    stage::require(sys::cap_revoke(memory->address()), "revoking 256 MiB of frames");
    tell("kernel.revoke_128_frames", begin);
}

}  // namespace bulkhead::bench
