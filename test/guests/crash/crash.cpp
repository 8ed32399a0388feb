// SPDX-License-Identifier: Apache-2.0
// A stub domain that dies as its own name asks ("crash-null", "crash-overflow", …), once: its second instance
// says that it lives again and stays. "crash-always" dies every time. test/system/test_crash.py reads what
// the supervisor says about each.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "lib/cap/start.hpp"

namespace {

using namespace bulkhead;

volatile int sink;

[[gnu::noinline]] void write_to(volatile int* address) {
    *address = 1;
    sink = 1;  // not a tail call
}

[[gnu::noinline]] void null() {
    write_to(nullptr);
    sink = 2;
}

[[gnu::noinline]] int overflow(int depth) {
    volatile char room[512];
    room[depth % 512] = static_cast<char>(depth);
    if (sink == -1) return 0;  // never: the compiler does not know
    return overflow(depth + 1) + room[(depth + 1) % 512];
}

// Relocated data: glibc makes it read-only after start-up.
struct Table {
    virtual ~Table() = default;
    virtual int entry() { return 1; }
};

void change_a_vtable() {
    static Table table;
    Table* volatile object = &table;
    void** vtable = *reinterpret_cast<void***>(object);
    *static_cast<void* volatile*>(vtable) = nullptr;
}

[[gnu::noinline]] void call_nothing() {
    void (*volatile nothing)() = nullptr;
    nothing();
    sink = 3;
}

void in_thread(void (*what)()) {
    std::thread{what}.join();
}

struct Mode {
    std::string_view name;
    void (*run)();
};
constexpr Mode kModes[] = {
    {"crash-null", null},
    {"crash-call", call_nothing},
    {"crash-overflow", [] { sink = overflow(0); }},
    {"crash-abort", [] { std::abort(); }},
    {"crash-throw", [] { throw std::runtime_error{"nobody catches this"}; }},
    {"crash-relro", change_a_vtable},
    {"crash-thread-null", [] { in_thread(null); }},
    {"crash-thread-deep", [] { in_thread([] { sink = overflow(0); }); }},
    {"crash-thread-throw", [] { in_thread([] { throw 1; }); }},
    {"crash-far-null", null},  // "far": on another CPU than the supervisor
    {"crash-far-abort", [] { std::abort(); }},
    {"crash-exit", [] { std::exit(3); }},
    {"crash-always", null},
};

}  // namespace

int main() {
    const abi::StartInfo* start = cap::start_info();
    if (!start) return std::fputs("crash: this program is a stub domain of Bulkhead\n", stderr), 1;
    const std::string_view name{start->name};
    if (start->incarnation > 0 && name != "crash-always") {
        cap::log_line(std::string{name} + ": lives again");
        for (;;) cap::drop(cap::sys::thread_suspend(cap::kMainThread));
    }
    for (const Mode& mode : kModes)
        if (mode.name == name) mode.run();
    std::printf("%s: is still alive\n", start->name);
    return 1;
}
