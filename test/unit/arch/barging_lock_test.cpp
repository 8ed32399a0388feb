// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/barging_lock.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>
#include <vector>

using bulkhead::arch::BargingLock;

namespace {

constexpr unsigned kShort = 1000;  // turns of patience

void relax() {
    asm volatile("pause");
}
void take(BargingLock& lock) {
    if (!lock.try_take()) lock.take_slow(relax);
}

// All threads on one CPU of the host: whoever waits spins until its time slice ends.
void share_one_cpu(std::thread& thread) {
    cpu_set_t allowed;
    REQUIRE(pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) == 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &allowed)) ++cpu;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    REQUIRE(pthread_setaffinity_np(thread.native_handle(), sizeof one, &one) == 0);
}

}  // namespace

TEST_CASE("lock: one holder at a time, and what it wrote is seen by the next") {
    constexpr unsigned kThreads = 4, kTurns = 20'000;
    BargingLock lock;
    uint64_t counter = 0;  // not atomic on purpose
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i)
        threads.emplace_back([&] {
            for (unsigned turn = 0; turn < kTurns; ++turn) {
                take(lock);
                counter = counter + 1;
                lock.release();
            }
        });
    for (auto& thread : threads) thread.join();
    REQUIRE(counter == uint64_t{kThreads} * kTurns);
}

// What made guests boot ten times slower on a busy host: a lock that is handed to a CPU that the host does
// not run at that moment costs a slice of the host's time at every critical section.
TEST_CASE("lock: a waiter that is not running does not hold up the others") {
    constexpr unsigned kThreads = 3;
    constexpr uint64_t kTurns =
        100'000;  // a slice is a millisecond or more: by hand-over it would take minutes
    BargingLock lock;
    std::atomic<bool> go{false};
    std::atomic<uint64_t> handed_over{0}, total{0};
    unsigned last = ~0u;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
            while (!go.load()) std::this_thread::yield();
            for (uint64_t turn = 0; turn < kTurns; ++turn) {
                take(lock);
                if (last != i) handed_over.fetch_add(1, std::memory_order_relaxed);
                last = i;
                for (unsigned work = 0; work < 20; ++work)
                    relax();  // long enough to be preempted inside now and then
                lock.release();
            }
            total.fetch_add(kTurns);
        });
        share_one_cpu(threads.back());
    }
    go = true;
    for (auto& thread : threads) thread.join();
    REQUIRE(total == kThreads * kTurns);
    REQUIRE(handed_over < total / 10);
}

TEST_CASE("lock: who has waited long enough is served before those who come later") {
    BargingLock lock;
    std::atomic<bool> waiting{false}, served{false};
    REQUIRE(lock.try_take());
    std::thread patient{[&] {
        uint32_t turns = 0;
        lock.take_slow(
            [&] {
                if (++turns > kShort + 1) waiting = true;
                std::this_thread::yield();
            },
            kShort);
        served = true;
    }};
    while (!waiting) std::this_thread::yield();
    lock.release();
    // Free or not: it is closed to us until the other has had it.
    for (unsigned i = 0; i < 1000 && !served; ++i) REQUIRE((!lock.try_take() || served));
    patient.join();
    REQUIRE(!lock.try_take());
    lock.release();
    REQUIRE(lock.try_take());
    lock.release();
}

TEST_CASE("lock: those who lost their patience are served in order, and the lock opens again") {
    constexpr unsigned kThreads = 3;
    BargingLock lock;
    std::atomic<unsigned> numbered{0};
    std::vector<unsigned> order;  // under the lock
    REQUIRE(lock.try_take());
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
            uint32_t turns = 0;
            lock.take_slow(
                [&] {
                    if (++turns == kShort + 2) numbered.fetch_add(1);
                    std::this_thread::yield();
                },
                kShort);
            order.push_back(i);
            lock.release();
        });
        while (numbered.load() != i + 1) std::this_thread::yield();
    }
    lock.release();
    for (auto& thread : threads) thread.join();
    REQUIRE(order == std::vector<unsigned>{0, 1, 2});
    REQUIRE(lock.try_take());
}
