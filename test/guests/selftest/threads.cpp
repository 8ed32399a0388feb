// SPDX-License-Identifier: Apache-2.0
// Threads as the C++ library offers them: mutexes, condition variables, thread_local, exceptions, std::async,
// many short lives.
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <future>
#include <mutex>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

void mutex_counts() {
    std::mutex mutex;
    long counter = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 5000; ++i) {
                const std::lock_guard lock{mutex};
                ++counter;
                if (i % 512 == 0) std::this_thread::yield();
            }
        });
    for (auto& thread : threads) thread.join();
    std::printf("mutex: %ld\n", counter);
}

void condition_queue() {
    std::mutex mutex;
    std::condition_variable not_empty, not_full;
    std::queue<int> queue;
    long sum = 0;
    std::thread consumer{[&] {
        for (int n = 0; n < 4000; ++n) {
            std::unique_lock lock{mutex};
            not_empty.wait(lock, [&] { return !queue.empty(); });
            sum += queue.front();
            queue.pop();
            not_full.notify_one();
        }
    }};
    std::vector<std::thread> producers;
    for (int p = 0; p < 4; ++p)
        producers.emplace_back([&, p] {
            for (int i = 0; i < 1000; ++i) {
                std::unique_lock lock{mutex};
                not_full.wait(lock, [&] { return queue.size() < 8; });
                queue.push(p * 1000 + i);
                not_empty.notify_one();
            }
        });
    for (auto& producer : producers) producer.join();
    consumer.join();
    std::printf("condition: %ld\n", sum);
}

void timeouts() {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock{mutex};
    const auto before = std::chrono::steady_clock::now();
    const bool timed_out = never.wait_for(lock, std::chrono::milliseconds{20}) == std::cv_status::timeout;
    const auto waited = std::chrono::steady_clock::now() - before;
    std::printf("timeout: %d, long enough: %d\n", timed_out, waited >= std::chrono::milliseconds{20});
}

thread_local std::string name = "unset";
thread_local int destroyed_marker = 0;
std::atomic<int> destroyed = 0;
struct Destroyed {
    ~Destroyed() { ++destroyed; }
};

void thread_locals() {
    std::vector<std::string> seen(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            static thread_local Destroyed mark;
            (void)mark;
            name = "thread " + std::to_string(t);
            destroyed_marker = t;
            std::this_thread::yield();
            seen[static_cast<size_t>(t)] = name + (destroyed_marker == t ? "" : " mixed up");
        });
    for (auto& thread : threads) thread.join();
    for (const auto& text : seen) std::printf("thread_local: %s\n", text.c_str());
    std::printf("thread_local: main has %s, destroyed %d\n", name.c_str(), destroyed.load());
}

int thrower(int depth) {
    if (depth == 0) throw std::runtime_error{"from the depth"};
    const std::string held(static_cast<size_t>(depth), 'x');
    return thrower(depth - 1) + static_cast<int>(held.size());
}

void exceptions() {
    std::atomic<int> caught = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                try {
                    thrower(20);
                } catch (const std::runtime_error&) {
                    ++caught;
                }
            }
        });
    for (auto& thread : threads) thread.join();
    std::printf("exceptions: %d\n", caught.load());
}

void asynchronous() {
    std::vector<std::future<long>> results;
    for (long n = 1; n <= 8; ++n)
        results.push_back(std::async(std::launch::async, [n] {
            std::vector<long> values(static_cast<size_t>(n) * 1000);
            std::iota(values.begin(), values.end(), 0L);
            return std::accumulate(values.begin(), values.end(), 0L);
        }));
    long sum = 0;
    for (auto& result : results) sum += result.get();
    auto failing = std::async(std::launch::async, []() -> int { throw std::logic_error{"over the future"}; });
    try {
        failing.get();
    } catch (const std::logic_error& error) {
        std::printf("async: %ld, %s\n", sum, error.what());
    }
}

void many_lives() {
    std::atomic<int> lives = 0;
    for (int n = 0; n < 2000; ++n) std::thread{[&] { ++lives; }}.join();
    std::atomic<int> detached = 0;
    for (int n = 0; n < 100; ++n) std::thread{[&] { ++detached; }}.detach();
    while (detached.load() != 100) std::this_thread::yield();
    std::printf("lives: %d, detached: %d\n", lives.load(), detached.load());
}

}  // namespace

int main() {
    mutex_counts();
    condition_queue();
    timeouts();
    thread_locals();
    exceptions();
    asynchronous();
    many_lives();
    std::printf("threads: done\n");
}
