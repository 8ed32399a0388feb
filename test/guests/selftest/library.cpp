// SPDX-License-Identifier: Apache-2.0
// What programs take from libc and libstdc++ without thinking: iostream, clocks, sleep, malloc of all sizes,
// Cap'n Proto, limits.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "schema/console.capnp.h"

namespace {

void streams() {
    std::cout << "iostream: " << 42 << ' ' << 2.5 << ' ' << std::hex << 255 << std::dec << std::endl;
    std::ifstream missing{"/no/such/file"};
    std::cout << "no file: " << missing.is_open() << '\n' << std::flush;
}

void clocks() {
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds{15});
    const auto slept = std::chrono::steady_clock::now() - start;
    timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    clock_gettime(CLOCK_MONOTONIC, &b);
    const bool forward = b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec);
    std::printf("clocks: slept %d, forward %d\n", slept >= std::chrono::milliseconds{15}, forward);
}

uint64_t pattern(size_t at, size_t size) {
    return at * 0x9e3779b97f4a7c15u ^ size;
}

// Blocks of all sizes come and go; each is filled and checked, so that two that overlap are found.
void heap() {
    struct Block {
        std::unique_ptr<uint64_t[]> words;
        size_t count;
    };
    std::map<unsigned, Block> blocks;
    uint64_t seed = 1, wrong = 0;
    for (int step = 0; step < 4000; ++step) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const unsigned key = static_cast<unsigned>(seed >> 40) % 96;
        if (const auto found = blocks.find(key); found != blocks.end()) {
            for (size_t i = 0; i < found->second.count; i += 61)
                wrong += found->second.words[i] != pattern(i, found->second.count);
            blocks.erase(found);
            continue;
        }
        const size_t count = size_t{1} + (seed >> 33) % (key % 16 == 0 ? 40000 : key % 4 == 0 ? 2000 : 60);
        Block block{std::make_unique<uint64_t[]>(count), count};
        for (size_t i = 0; i < count; ++i) {
            wrong += block.words[i] != 0;
            block.words[i] = pattern(i, count);
        }
        blocks.emplace(key, std::move(block));
    }
    std::printf("heap: wrong %llu, left %zu\n", static_cast<unsigned long long>(wrong), blocks.size());
}

void memory_calls() {
    constexpr size_t kBytes = 1 << 20;
    auto* at = static_cast<char*>(mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::printf("memory: reserved %d", at != MAP_FAILED);
    std::printf(", committed %d", mprotect(at + 4096, 8 * 4096, PROT_READ | PROT_WRITE) == 0);
    at[4096] = 1;
    at[9 * 4096 - 1] = 2;
    std::printf(", narrowed %d", mprotect(at + 4096, 4096, PROT_READ) == 0 && at[4096] == 1);
    std::printf(", widened %d", mprotect(at + 4096, 4096, PROT_READ | PROT_WRITE) == 0 && at[4096] == 1);
    madvise(at + 8 * 4096, 4096, MADV_DONTNEED);
    std::printf(", forgotten %d", at[9 * 4096 - 1] == 0);
    std::printf(", hole %d", munmap(at + 4 * 4096, 4096) == 0 && at[4096] == 1);
    std::printf(", gone %d\n", munmap(at, kBytes) == 0);
    std::printf("huge: %d\n", mmap(nullptr, size_t{1} << 46, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
                                  errno == ENOMEM);
}

void messages() {
    using namespace bulkhead::schema::console;
    capnp::MallocMessageBuilder builder;
    auto domains = builder.initRoot<ToControl>().initResult().initDomains(50);
    for (unsigned i = 0; i < domains.size(); ++i) domains[i].setName("domain " + std::to_string(i));
    const auto words = capnp::messageToFlatArray(builder);
    capnp::FlatArrayMessageReader reader{words};
    size_t length = 0;
    for (const auto domain : reader.getRoot<ToControl>().getResult().getDomains())
        length += domain.getName().size();
    bool refused = false;
    try {
        capnp::FlatArrayMessageReader broken{words.slice(0, 4)};
        broken.getRoot<ToControl>().totalSize();
    } catch (const kj::Exception&) {
        refused = true;
    }
    std::printf("capnp: %zu, broken message refused: %d\n", length, refused);
}

void small_calls() {
    uint64_t random[2] = {};
    const bool got = getrandom(random, sizeof(random), 0) == sizeof(random) && random[0] != random[1];
    std::printf("small: random %d, tty-like %d, cwd %d\n", got, isatty(1) == 0 || isatty(1) == 1,
                getcwd(nullptr, 0) == nullptr || true);
}

}  // namespace

int main() {
    streams();
    clocks();
    heap();
    memory_calls();
    messages();
    small_calls();
    std::printf("library: done\n");
    return 0;
}
