// SPDX-License-Identifier: Apache-2.0
#include "test/unit/kernel/fake_arch.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "abi/start.hpp"
#include "kernel/core/boot.hpp"

namespace bulkhead::fake {

State state;

namespace {
abi::BootInfo info;

void reset_memory(uint64_t bytes = kMemory) {
    if (state.memory != nullptr) munmap(state.memory, state.bytes);
    void* p =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) abort();
    state = State{};
    state.memory = static_cast<char*>(p);
    state.bytes = bytes;
    // What nobody zeroed must not look like zeroes: a pattern in the first bytes of each page of the first 64
    // MiB.
    for (uint64_t page = 0; page < (64 << 20); page += 4096) memset(state.memory + page, 0xa5, 64);
}
}  // namespace

std::optional<Translation> walk(core::PageTable& root, uint64_t address) {
    const uint64_t* table = root.entries();
    bool write = true, execute = true;
    for (unsigned level = 4;; --level) {
        const unsigned shift = 12 + 9 * (level - 1);
        const uint64_t e = table[(address >> shift) & 511];
        if ((e & 1) == 0 || (e & 4) == 0) return std::nullopt;
        write = write && (e & 2) != 0;
        execute = execute && (e >> 63) == 0;
        const uint64_t physical = e & 0x000f'ffff'ffff'f000;
        if (level == 1 || (e & 128) != 0)
            return Translation{
                (physical & ~((uint64_t{1} << shift) - 1)) | (address & ((uint64_t{1} << shift) - 1)), write,
                execute};
        table = static_cast<const uint64_t*>(arch::phys_to_virt(PhysAddr{physical}));
    }
}

std::optional<Translation> access(unsigned cpu, core::PageTable& root, uint64_t address) {
    root.cpus |= uint64_t{1} << cpu;
    const auto key = std::pair{&root, address >> 12};
    if (const auto hit = state.tlb[cpu].find(key); hit != state.tlb[cpu].end()) return hit->second;
    const auto found = walk(root, address & ~uint64_t{4095});
    if (found) state.tlb[cpu].emplace(key, *found);
    return found;
}

bool tlbs_are_fresh() {
    for (const auto& tlb : state.tlb) {
        for (const auto& [key, cached] : tlb) {
            const auto now = walk(*key.first, key.second << 12);
            if (!now || !(*now == cached)) return false;
        }
    }
    return true;
}

namespace {

void boot_core(core::Cpu* cpu, unsigned cpus) {
    auto machine = std::make_unique<core::boot::Machine>();
    machine->info = &info;
    machine->tsc_khz = 1'000'000;
    machine->secret = 0x1234'5678'9abc;
    machine->cpus = cpus;
    for (unsigned i = 0; i < cpus; ++i) machine->cpu[i] = &cpu[i];
    machine->kernel_info.features = abi::kFeatureHugeGuestPages;
    machine->fault_gsi_limit = 24;
    core::boot::setup(*machine);
    memset(core::boot::map_page(abi::kImageBase, abi::map::kRead | abi::map::kExecute), 0xcc, 4096);
    core::boot::map_kernel_info(abi::kStartPages + 0x2000);
    core::boot::map_ipc_buffer(abi::kStartPages + 0x4000);
    core::boot::map_root_info(abi::kStartPages + 0x10000);
    core::boot::start(abi::kImageBase, abi::kStackTop, abi::kStartPages);
}

const abi::RootInfo* root_info_of(const core::Thread& root) {
    return static_cast<const abi::RootInfo*>(
        arch::phys_to_virt(PhysAddr{walk(*root.root, abi::kStartPages + 0x10000)->physical}));
}

}  // namespace

std::vector<HandedOut> hand_out(const abi::BootInfo& boot_info, uint64_t bytes) {
    static core::Cpu cpu[1];
    reset_memory(bytes);
    memset(static_cast<void*>(cpu), 0, sizeof cpu);
    info = boot_info;
    boot_core(cpu, 1);
    core::handle_resched(cpu[0]);
    const core::Thread& root = *cpu[0].current;
    const abi::RootInfo* root_info = root_info_of(root);
    std::vector<HandedOut> pieces;
    for (uint32_t i = 0; i < root_info->untypeds; ++i) {
        const abi::RootUntyped& u = root_info->untyped[i];
        pieces.push_back(
            {root.cspace[abi::root::kFirstUntyped + i].object, u.size_bits, u.device != 0, u.module});
    }
    return pieces;
}

Machine::Machine(unsigned cpus) {
    reset_memory();
    memset(static_cast<void*>(cpu), 0, sizeof cpu);
    info = abi::BootInfo{};
    info.magic = abi::kBootInfoMagic;
    info.ranges = 2;
    info.range[0] = {.base = 0x1000, .size = 0x9f000, .type = abi::MemoryType::Free, .reserved = 0};
    info.range[1] = {
        .base = 1 << 20, .size = kMemory - (1 << 20), .type = abi::MemoryType::Free, .reserved = 0};
    info.modules = 1;
    info.module[0].base = 0x10000;
    info.module[0].size = 5000;
    info.lapic_base = 0xfee0'0000;
    info.framebuffer.base = kScreenBase;
    info.framebuffer.width = 800, info.framebuffer.height = 600, info.framebuffer.pitch = 3200;
    info.acpi.hpet = kHpet;
    info.acpi.intel_rcba = kBadRcba;

    boot_core(cpu, cpus);
    core::handle_resched(cpu[0]);
    root_ = cpu[0].current;
    const abi::RootInfo* root_info = root_info_of(*root_);
    next_slot_ = root_info->first_free_slot;
    unsigned best = 0;
    for (unsigned i = 0; i < root_info->untypeds; ++i) {
        if (root_info->untyped[i].device == 0 && root_info->untyped[i].size_bits > best) {
            best = root_info->untyped[i].size_bits;
            big_untyped_ = abi::root::kFirstUntyped + i;
        }
    }
}

Machine::Outcome Machine::call(core::Thread& t, abi::Call number, uint64_t a0, uint64_t a1, uint64_t a2,
                               uint64_t a3, uint64_t a4, uint64_t a5, uint64_t r12, uint64_t r13) {
    if (t.running_on() == nullptr) {
        fprintf(stderr, "the test makes a call by a thread that does not run\n");
        abort();
    }
    UserContext& u = t.user;
    core::Cpu& on = *t.running_on();
    constexpr uint64_t kBehind = abi::kImageBase + 2;
    u.rax = static_cast<uint64_t>(abi::kSyscallBase) + static_cast<uint64_t>(number);
    u.rdi = a0, u.rsi = a1, u.rdx = a2, u.r10 = a3, u.r8 = a4, u.r9 = a5, u.r12 = r12, u.r13 = r13;
    u.rip = kBehind;
    u.by_syscall = 1;
    unsigned restarts = 0;
    for (;;) {
        core::handle_syscall(on);
        if (core::sys.tlb.pending()) abort();
        if (u.rip != kBehind - 2 || on.current != &t) break;
        u.rip = kBehind;
        ++restarts;
    }
    return {static_cast<abi::Status>(u.rax), u.rdx, u.r10, u.r8, u.r9, restarts};
}

uint64_t Machine::make(abi::ObjectType type, uint64_t size) {
    const uint64_t to = free_slot();
    const Outcome o = call(abi::Call::Retype, big_untyped_, static_cast<uint64_t>(type), size, to, 1);
    if (o.status != abi::Status::Ok) {
        fprintf(stderr, "the test cannot make an object of type %u: status %u\n", static_cast<unsigned>(type),
                static_cast<unsigned>(o.status));
        abort();
    }
    return to;
}

core::Thread& Machine::make_thread(unsigned id, unsigned priority, bool passive) {
    const uint64_t cap = make(abi::ObjectType::Thread), sched = make(abi::ObjectType::SchedContext),
                   buffer = make(abi::ObjectType::Frame, 12);
    core::Thread& t = *core::Thread::from(slot(cap).as<core::Object>());
    call(abi::Call::SchedConfigure, abi::root::kSchedControl, sched, id, priority, abi::kWeightDefault, 0);
    const auto set = [&](abi::ThreadSlot which, uint64_t what) {
        return call(abi::Call::ThreadSet, cap, static_cast<uint64_t>(which), what).status;
    };
    bool ok = set(abi::ThreadSlot::CSpace, abi::root::kCNode) == abi::Status::Ok &&
              set(abi::ThreadSlot::VSpace, abi::root::kVSpace) == abi::Status::Ok;
    ok = ok && set(abi::ThreadSlot::IpcBuffer, buffer) == abi::Status::Ok;
    if (!passive) ok = ok && set(abi::ThreadSlot::SchedContext, sched) == abi::Status::Ok;
    if (!ok) abort();
    caps_[&t] = cap;
    scheds_[&t] = sched;
    return t;
}

void Machine::start(core::Thread& t) {
    if (call(abi::Call::ThreadStart, cap_of(t), abi::kImageBase, abi::kStackTop, 0, 0, 0).status !=
        abi::Status::Ok)
        abort();
}

core::Thread* Machine::resched(unsigned id) {
    core::handle_resched(cpu[id]);
    return cpu[id].current;
}

core::Thread* Machine::advance(unsigned id, uint64_t ticks) {
    state.clock += ticks;
    if (state.timer[id] <= state.clock) {
        state.timer[id] = abi::kDeadlineNever;
        core::handle_timer(cpu[id], state.clock);
    }
    return cpu[id].current;
}

}  // namespace bulkhead::fake

// ---- namespace arch, as core sees it
// ---------------------------------------------------------------------------------------

namespace bulkhead::arch {

using fake::state;

void* phys_to_virt(PhysAddr a) {
    if (a.raw >= state.bytes) abort();
    return state.memory + a.raw;
}
PhysAddr virt_to_phys(const void* p) {
    const auto offset = static_cast<uint64_t>(static_cast<const char*>(p) - state.memory);
    if (offset >= state.bytes) abort();
    return PhysAddr{offset};
}
void zero_page(void* page) {
    memset(page, 0, 4096);
}
bool preemption_pending() {
    return state.preempt_every != 0 && ++state.preempt_count % state.preempt_every == 0;
}
uint64_t now() {
    return state.clock;
}
void set_timer(uint64_t deadline) {
    state.timer[core::sys.here->id] = deadline;
}
void send_resched(CpuId id) {
    ++state.resched[id];
}

void tlb_shootdown(core::PageTable& root, uint64_t address, uint64_t bytes) {
    ++state.shootdowns;
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
        if ((root.cpus >> cpu & 1) == 0) continue;
        std::erase_if(state.tlb[cpu], [&](const auto& e) {
            const uint64_t at = e.first.second << 12;
            return e.first.first == &root && (bytes == 0 || (at >= address && at - address < bytes));
        });
    }
}
void init_host_root(void* table) {
    static_cast<uint64_t*>(table)[511] = 0x1000 | 3;
}
void stop_remote(CpuId id, core::Thread& t) {
    if (core::sys.cpu[id]->current != &t || core::sys.cpu[id] == core::sys.here) abort();
    ++state.stops;
}
uint64_t fpu_bytes() {
    return 576;
}
void fpu_init(void* area) {
    memset(area, 0, 576);
}

uint64_t vcpu_bytes() {
    return 8192;
}
bool vcpu_available() {
    return true;
}
void vcpu_init(void* area) {
    memset(area, 0, 8192);
}
abi::Status vcpu_prepare(void*, abi::VcpuState& page, uint64_t* field) {
    *field = 77;
    page.dirty = 0;
    return state.vcpu_status;
}
void vcpu_leave(void*, abi::VcpuState& page, abi::ExitReason reason) {
    ++state.leaves;
    page.reason = reason;
}
void vcpu_destroy(void*) {}

void irq_mask(uint32_t gsi) {
    state.gsi_masked |= uint64_t{1} << gsi;
}
void irq_unmask(uint32_t gsi) {
    state.gsi_masked &= ~(uint64_t{1} << gsi);
}
bool irq_setup(uint32_t gsi, uint32_t) {
    state.gsi_used |= uint64_t{1} << gsi;
    return gsi != 2;
}
void irq_release(uint32_t gsi) {
    state.gsi_used &= ~(uint64_t{1} << gsi);
}
uint64_t port_in(uint16_t port, unsigned bytes) {
    return port * 10u + bytes;
}
void port_out(uint16_t port, unsigned, uint64_t value) {
    state.ports.emplace_back(port, value);
}
void uart_write(const char* text, size_t bytes) {
    state.uart.append(text, bytes);
}
void uart_enable(bool) {}
void panic(const char* what) {
    fprintf(stderr, "panic: %s\n", what);
    abort();
}
void reset_machine() {
    ++state.resets;
}
Counters counters(bool) {
    return {};
}

}  // namespace bulkhead::arch
