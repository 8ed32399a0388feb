// SPDX-License-Identifier: Apache-2.0
// The first code that runs in a stub domain: finds StartInfo in the auxiliary vector, prepares itself, and says where the
// program begins. Plus the four functions that a compiler may call without being asked.
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

// The root task's StartInfo names no memory: the kernel leaves the choice to its personality. It takes the smallest Untyped of
// at least 4 MiB whole, makes its CNode there, and tells the program by a corrected copy of StartInfo which slots are left.
constinit abi::StartInfo root_start{};

static const abi::StartInfo* adopt_root(const abi::StartInfo& given) {
    constexpr unsigned kEnough = 22, kCNodeBits = 12;
    const abi::RootInfo* info = nullptr;
    for (uint32_t i = 0; i < given.caps; ++i)
        if (named(given.cap[i], "root-info")) info = reinterpret_cast<const abi::RootInfo*>(given.cap[i].mapped.base);
    if (!info) return nullptr;
    uint32_t best = info->untypeds;
    for (uint32_t i = 0; i < info->untypeds; ++i) {
        const abi::RootUntyped& u = info->untyped[i];
        if (u.device || u.size_bits < kEnough) continue;
        if (best == info->untypeds || u.size_bits < info->untyped[best].size_bits) best = i;
    }
    if (best == info->untypeds) return nullptr;
    const uint32_t untyped = abi::root::kFirstUntyped + best, cnode = info->first_free_slot;
    if (sys::retype(CapAddr{0, untyped}, abi::ObjectType::CNode, kCNodeBits, CapAddr{0, cnode}) != Status::Ok) return nullptr;
    root_start = given;
    root_start.runtime_cnode = cnode;
    root_start.runtime_cnode_bits = kCNodeBits;
    root_start.runtime_untyped = {untyped, 1};
    root_start.free_slots = {cnode + 1, (uint32_t{1} << given.cnode_bits) - cnode - 1};
    return &root_start;
}

// Nothing works yet but, with luck, the log. The instruction that faults tells the supervisor.
[[noreturn]] static void give_up(const char* why) {
    if (state.start) {
        auto* buffer = reinterpret_cast<abi::IpcBuffer*>(state.start->ipc_buffer);
        uint64_t bytes = 0;
        while (why[bytes]) buffer->data[bytes] = static_cast<uint8_t>(why[bytes]), ++bytes;
        cap::drop(sys::log_write(CapAddr{0, abi::start::kLog}, bytes));
    }
    for (;;) asm volatile("hlt");
}

extern "C" uint64_t personality_initialise(uint64_t* stack) {
    uint64_t* at = stack + 1 + stack[0] + 1;  // argc, argv, NULL
    uint64_t* start_entry = nullptr;
    while (*at) ++at;
    for (++at; at[0]; at += 2) {
        constexpr uint64_t kAtEntry = 9;
        if (at[0] == kAtEntry) state.program_entry = at[1];
        if (at[0] == abi::kAtBulkhead) start_entry = at;
    }
    if (!start_entry || state.program_entry == 0) give_up("");
    state.start = reinterpret_cast<const abi::StartInfo*>(start_entry[1]);
    if (state.start->magic != abi::kStartMagic) {
        state.start = nullptr;
        give_up("");
    }
    if (state.start->runtime_cnode == 0) {
        const abi::StartInfo* const adopted = adopt_root(*state.start);
        if (!adopted) give_up("personality: the root task has no memory of 4 MiB in one piece\n");
        state.start = adopted;
        start_entry[1] = reinterpret_cast<uint64_t>(state.start);
    }
    state.kernel = reinterpret_cast<const abi::KernelInfo*>(state.start->kernel_info);
    state.fault_endpoint = find("fault");
    state.exit_endpoint = find("exit");
    clock_initialise();
    space_initialise();
    if (!frames_initialise()) give_up("personality: StartInfo gives no Untyped, or a CNode of less than 64 slots\n");
    if (!make_locks() || !threads_initialise()) give_up("personality: there is no memory for its first objects\n");
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
