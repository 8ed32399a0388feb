// SPDX-License-Identifier: Apache-2.0
// Threads: one kernel Thread, one Notification, one IPC buffer and one ThreadBlock each, made when first
// needed and used again: a thread that ended leaves its block once the kernel has let go of it (`alive` is
// 0).
#include "abi/spawn.hpp"
#include "lib/runtime/native_calls.hpp"
#include "lib/runtime/state.hpp"

extern "C" {
extern const char personality_upcall[], personality_child[];
}

namespace bulkhead::runtime {

// entry.S knows these.
static_assert(offsetof(ThreadBlock, child) == 80 && offsetof(ChildRegisters, rip) == 96);
static_assert(offsetof(ThreadBlock, tid) == 24);

namespace {

constexpr unsigned kExitStackBytes = 3072;  // above the block, in its page
constinit ThreadBlock main_block{};
alignas(16) char main_exit_stack[kExitStackBytes];

// What entry.S saved of the caller of clone, in the order of its pushes.
struct Saved {
    uint64_t r15, r14, r13, r12, rbp, rbx, padding, return_address;
    uint64_t r10, r9, r8, rdx, rsi, rdi, rcx;
};

enum : uint64_t {
    kCloneVm = 0x100,
    kCloneThread = 0x10000,
    kCloneSetTls = 0x80000,
    kCloneParentSetTid = 0x100000,
    kCloneChildClearTid = 0x200000,
    kCloneChildSetTid = 0x1000000,
};

struct Clone3 {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

Status set_upcall(CapAddr thread) {
    return sys::thread_upcall(thread, reinterpret_cast<uint64_t>(personality_upcall), state.fixup_start,
                              state.fixup_end, state.fixup_landing);
}

bool equip(CapAddr thread, CapAddr ipc_frame) {
    using enum abi::ThreadSlot;
    const auto set = [&](abi::ThreadSlot slot, CapAddr what) {
        return sys::thread_set(thread, slot, what) == Status::Ok;
    };
    if (!set(CSpace, CapAddr{0, abi::start::kCNode}) || !set(VSpace, CapAddr{0, abi::start::kVSpace}) ||
        !set(IpcBuffer, ipc_frame) || !set(SchedContext, CapAddr{0, abi::start::kSchedContext}))
        return false;
    if (!state.fault_endpoint.is_null() && !set(FaultEndpoint, state.fault_endpoint)) return false;
    return set_upcall(thread) == Status::Ok;
}

// Under thread_lock. What a failure leaves behind is a few slots of a domain that has no memory left anyway.
ThreadBlock* make_block() {
    const Locked lock{state.memory_lock};
    CapAddr frame;
    auto* block = static_cast<ThreadBlock*>(allocate_metadata(abi::kPageBits));
    auto* buffer = static_cast<abi::IpcBuffer*>(allocate_metadata(abi::kPageBits, &frame));
    if (!block || !buffer) return nullptr;
    const CapAddr thread = create_object(abi::ObjectType::Thread, 0);
    const CapAddr notification = create_notification();
    if (thread.is_null() || notification.is_null() || !equip(thread, frame)) return nullptr;
    block->self = block;
    block->ipc_buffer = buffer;
    block->exit_stack = reinterpret_cast<uint64_t>(block) + abi::kPageSize;
    block->thread = thread.raw;
    block->notification = notification.raw;
    block->next = state.threads;
    state.threads = block;
    ++state.blocks;
    return block;
}

ThreadBlock* take_block() {
    for (ThreadBlock* b = state.threads; b; b = b->next)
        if (!b->used && __atomic_load_n(&b->alive, __ATOMIC_ACQUIRE) == 0) return b;
    return make_block();
}

int64_t clone(uint64_t flags, uint64_t stack, uint64_t tls, uint64_t parent_tid, uint64_t child_tid,
              const Saved& saved) {
    if (!(flags & kCloneVm) || !(flags & kCloneThread) || stack == 0) return kNoSys;
    const Locked lock{state.thread_lock};
    ThreadBlock* const block = take_block();
    if (!block) return kAgain;
    const uint32_t tid = state.next_tid++;
    block->tid = tid;
    block->clear_tid = flags & kCloneChildClearTid ? child_tid : 0;
    block->wait = {};
    block->child = {saved.rbx, saved.rdx, saved.rsi, saved.rdi, saved.rbp, saved.r8, saved.r9,
                    saved.r10, saved.r12, saved.r13, saved.r14, saved.r15, saved.rcx};
    block->used = true;
    __atomic_store_n(&block->alive, 1, __ATOMIC_RELEASE);
    // The tid is where glibc looks for it before either thread returns.
    if (flags & kCloneParentSetTid) *reinterpret_cast<uint32_t*>(parent_tid) = tid;
    if (flags & kCloneChildSetTid) *reinterpret_cast<uint32_t*>(child_tid) = tid;
    uint64_t fs_base = tls;
    if (!(flags & kCloneSetTls)) asm volatile("rdfsbase %0" : "=r"(fs_base));
    const Status status =
        sys::thread_start(CapAddr{block->thread}, reinterpret_cast<uint64_t>(personality_child), stack,
                          reinterpret_cast<uint64_t>(block), 0, fs_base);
    if (status != Status::Ok) {
        block->used = false;
        __atomic_store_n(&block->alive, 0, __ATOMIC_RELEASE);
        return kAgain;
    }
    ++state.alive;
    return tid;
}

}  // namespace

bool threads_initialise() {
    main_block.self = &main_block;
    main_block.ipc_buffer = reinterpret_cast<abi::IpcBuffer*>(state.start->ipc_buffer);
    main_block.exit_stack = reinterpret_cast<uint64_t>(main_exit_stack) + sizeof(main_exit_stack);
    main_block.tid = 1;
    main_block.alive = 1;
    main_block.used = true;
    main_block.thread = abi::start::kThread;
    asm volatile("wrgsbase %0" : : "r"(&main_block));
    state.threads = &main_block;
    state.next_tid = 2;
    state.blocks = state.alive = 1;
    main_block.notification = create_notification().raw;
    return main_block.notification != 0 && set_upcall(CapAddr{main_block.thread}) == Status::Ok;
}

// Everybody else stops, what was printed is flushed, then whoever started this domain learns how it ended.
[[noreturn]] void end_domain(uint64_t status) {
    const CapAddr self{current().thread};
    for (ThreadBlock* b = state.threads; b; b = b->next)
        if (b->used && CapAddr{b->thread} != self) cap::drop(sys::thread_suspend(CapAddr{b->thread}));
    flush_output();
    if (!state.exit_endpoint.is_null()) {
        cap::drop(
            sys::ipc_call(state.exit_endpoint, {abi::MessageTag{abi::kExitLabel, 1, 0}, {status, 0, 0, 0}})
                .status);
        // Nobody answers this call; it returns when the supervisor is on another CPU. A fault reaches it from
        // everywhere.
        asm volatile("ud2" : : "a"(abi::kExitLabel), "D"(status));
    }
    for (;;) cap::drop(sys::thread_exit(0, CapAddr{}));
}

extern "C" {

int64_t call_clone(uint64_t flags, uint64_t stack, uint64_t parent_tid, uint64_t child_tid, uint64_t tls,
                   const Saved* saved) {
    return clone(flags, stack, tls, parent_tid, child_tid, *saved);
}

int64_t call_clone3(const Clone3* arguments, uint64_t bytes, uint64_t, uint64_t, uint64_t,
                    const Saved* saved) {
    if (bytes < sizeof(Clone3)) return kInvalid;
    const Clone3 a = *arguments;
    return clone(a.flags, a.stack + a.stack_size, a.tls, a.parent_tid, a.child_tid, *saved);
}

// exit, on this block's own stack: from the moment that clear_tid is 0 the program's stack may be gone.
[[noreturn]] void personality_leave() {
    ThreadBlock& block = current();
    if (block.clear_tid) {
        __atomic_store_n(reinterpret_cast<uint32_t*>(block.clear_tid), 0, __ATOMIC_SEQ_CST);
        futex_wake_address(block.clear_tid, 1);
    }
    {
        const Locked lock{state.thread_lock};
        --state.alive;
        if (state.alive == 0) end_domain(0);
        block.used = false;
    }
    for (;;) cap::drop(sys::thread_exit(reinterpret_cast<uint64_t>(&block.alive), CapAddr{}));
}

int64_t call_exit_group(uint64_t status) {
    end_domain(status & 0xff);
}

static int64_t signal(uint64_t number) {
    if (number == 0) return 0;
    end_domain(128 + (number & 0x7f));
}
int64_t call_tgkill(uint64_t, uint64_t, uint64_t number) {
    return signal(number);
}
int64_t call_kill(uint64_t pid, uint64_t number) {
    return pid <= 1 ? signal(number) : int64_t{kNoProcess};
}

int64_t call_gettid() {
    return current().tid;
}

int64_t call_set_tid_address(uint64_t address) {
    current().clear_tid = address;
    return current().tid;
}

int64_t call_register_fixup(uint64_t start, uint64_t end, uint64_t landing) {
    const Locked lock{state.thread_lock};
    state.fixup_start = start;
    state.fixup_end = end;
    state.fixup_landing = landing;
    for (ThreadBlock* b = state.threads; b; b = b->next)
        if (set_upcall(CapAddr{b->thread}) != Status::Ok) return kInvalid;
    return 0;
}

}  // extern "C"

}  // namespace bulkhead::runtime
