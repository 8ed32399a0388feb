// SPDX-License-Identifier: Apache-2.0
// A stub domain that uses up its memory gets errors, not faults, and what it frees it has again: the same
// amount twice. Bulkhead only: it asks the personality what is left.
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "lib/runtime/native_calls.hpp"

namespace {

using bulkhead::runtime::memory_info;
using bulkhead::runtime::MemoryInfo;

unsigned fill(size_t bytes) {
    static void* blocks[4096];
    unsigned count = 0;
    while (count < 4096 && (blocks[count] = std::malloc(bytes)) != nullptr) {
        static_cast<volatile char*>(blocks[count])[bytes - 1] = 1;
        ++count;
    }
    for (unsigned i = 0; i < count; ++i) std::free(blocks[i]);
    return count;
}

unsigned crowd() {
    static std::atomic<bool> go;
    go = false;
    static pthread_t threads[512];
    unsigned count = 0;
    const auto wait = [](void*) -> void* {
        go.wait(false);
        return nullptr;
    };
    while (count < 512 && pthread_create(&threads[count], nullptr, wait, nullptr) == 0) ++count;
    go = true;
    go.notify_all();
    for (unsigned i = 0; i < count; ++i) pthread_join(threads[i], nullptr);
    return count;
}

}  // namespace

int main() {
    const unsigned first = crowd(), second = crowd(), third = crowd();
    std::printf("threads: some %d, again %d\n", first > 10, second >= first * 3 / 4 && third >= second - 2);
    std::printf("note: %u %u %u threads\n", first, second, third);

    for (int n = 0; n < 50; ++n) std::thread{[] {}}.join();
    MemoryInfo before = {}, after = {};
    const bool asked = memory_info(before);
    for (int n = 0; n < 2000; ++n) std::thread{[] {}}.join();
    memory_info(after);
    std::printf("lives: asked %d, bytes kept %d, slots kept %d, blocks kept %d, alive %llu\n", asked,
                before.committed_bytes == after.committed_bytes, before.slots_used == after.slots_used,
                before.thread_blocks == after.thread_blocks, static_cast<unsigned long long>(after.threads));

    // glibc keeps part of a heap that once could not grow; most of it is there again.
    for (const size_t bytes : {size_t{3'000}, size_t{200'000}}) {
        const unsigned one = fill(bytes), two = fill(bytes), three = fill(bytes);
        std::printf("blocks: some %d, again %d\n", one > 10, two >= one / 2 && three >= two / 2);
    }
    std::printf("exhaust: done\n");
}
