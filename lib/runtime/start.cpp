// SPDX-License-Identifier: Apache-2.0
// The first code that runs in a stub domain: finds StartInfo in the auxiliary vector, prepares itself, and
// says where the program begins. Plus the four functions that a compiler may call without being asked.
#include <initializer_list>

#include "lib/runtime/state.hpp"

namespace bulkhead::runtime {

constinit State state{};

static bool named(const abi::NamedCap& cap, const char* name) {
    unsigned i = 0;
    while (i < sizeof(cap.name) && name[i] && cap.name[i] == name[i]) ++i;
    return i < sizeof(cap.name) && cap.name[i] == 0 && name[i] == 0;
}

static CapAddr find(const char* name) {
    for (uint32_t i = 0; i < state.start->caps && i < sizeof(state.start->cap) / sizeof(abi::NamedCap); ++i)
        if (named(state.start->cap[i], name)) return CapAddr{0, state.start->cap[i].slot};
    return CapAddr{};
}

static bool make_locks() {
    for (Lock* lock : {&state.memory_lock, &state.futex_lock, &state.thread_lock, &state.output_lock}) {
        const CapAddr notification = create_notification();
        if (notification.is_null()) return false;
        lock->initialise(notification);
    }
    return true;
}

// Nothing works yet but, with luck, the log. The instruction that faults tells the supervisor.
[[noreturn]] static void give_up(const char* why) {
    if (state.start) {
        auto* buffer = reinterpret_cast<abi::IpcBuffer*>(state.start->ipc_buffer);
        uint64_t bytes = 0;
        while (why[bytes]) buffer->data[bytes] = static_cast<uint8_t>(why[bytes]), ++bytes;
        cap::drop(sys::log_write(CapAddr{0, abi::start::kLog}, bytes, abi::LogLevel::Error));
    }
    for (;;) asm volatile("hlt");
}

extern "C" uint64_t personality_initialise(const uint64_t* stack) {
    const uint64_t* at = stack + 1 + stack[0] + 1;  // argc, argv, NULL
    while (*at) ++at;
    for (++at; at[0]; at += 2) {
        constexpr uint64_t kAtEntry = 9;
        if (at[0] == kAtEntry) state.program_entry = at[1];
        if (at[0] == abi::kAtBulkhead) state.start = reinterpret_cast<const abi::StartInfo*>(at[1]);
    }
    if (state.start && state.start->magic != abi::kStartMagic) state.start = nullptr;
    if (!state.start || state.program_entry == 0)
        give_up("personality: the auxiliary vector lacks AT_ENTRY\n");
    state.kernel = reinterpret_cast<const abi::KernelInfo*>(state.start->kernel_info);
    state.fault_endpoint = find("fault");
    state.exit_endpoint = find("exit");
    clock_initialise();
    space_initialise();
    if (!frames_initialise())
        give_up("personality: StartInfo gives no Untyped, or a CNode of less than 64 slots\n");
    if (!make_locks() || !threads_initialise())
        give_up("personality: there is no memory for its first objects\n");
    return state.program_entry;
}

extern "C" {

void* memset(void* to, int value, size_t bytes) {
    void* const start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
    return start;
}

void* memcpy(void* to, const void* from, size_t bytes) {
    void* const start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return start;
}

void* memmove(void* to, const void* from, size_t bytes) {
    auto* d = static_cast<uint8_t*>(to);
    const auto* s = static_cast<const uint8_t*>(from);
    if (d <= s || d >= s + bytes) return memcpy(to, from, bytes);
    while (bytes--) static_cast<volatile uint8_t*>(d)[bytes] = s[bytes];
    return to;
}

}  // extern "C"

}  // namespace bulkhead::runtime
