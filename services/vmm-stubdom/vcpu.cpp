// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/vcpu.hpp"

#include <cstdio>

#include "services/vmm-stubdom/vm.hpp"

namespace bulkhead::vmm {

namespace {

using abi::ExitReason;
using abi::SegmentState;
using abi::VcpuState;

constexpr uint64_t kFlagInterrupts = 1 << 9;
constexpr uint64_t kEventValid = uint64_t{1} << 31, kEventError = 1 << 11;
constexpr uint64_t kTypeExternal = 0, kTypeNmi = 2, kTypeException = 3, kTypeSoftware = 4;
constexpr uint64_t event(uint8_t vector, uint64_t type) {
    return vector | type << 8 | kEventValid;
}

// The vCPU whose thread this is: it needs no kick from itself.
thread_local const Vcpu* current_vcpu = nullptr;

}  // namespace

Vcpu::Vcpu(Vm& vm, unsigned index, CpuPort& port)
    : vm_{vm},
      index_{index},
      port_{port},
      state_{port.state()},
      lapic_{index, vm.clock(), index == 0},
      clock_{vm.clock()},
      instructions_{vm.memory()} {
    fill_reset_state();
    clock_.publish_time(vm.events().vcpu_info(index) + offsetof(vcpu_info_t, time));
}

// ---- from any thread -------------------------------------------------------------------------------------

void Vcpu::kick() {
    if (current_vcpu != this) port_.kick();
}

void Vcpu::request(uint32_t bits, uint8_t sipi_vector) {
    if (bits & kSipi) sipi_vector_.store(sipi_vector, std::memory_order_relaxed);
    requests_.fetch_or(bits, std::memory_order_seq_cst);
    kick();
}

void Vcpu::post(uint8_t vector) {
    if (lapic_.software_enabled() && lapic_.post(vector)) kick();
}

// ---- the run loop ----------------------------------------------------------------------------------------

void Vcpu::run() {
    current_vcpu = this;
    while (step()) {
    }
    activity_.store(Activity::Ended, std::memory_order_seq_cst);
}

bool Vcpu::step() {
    current_vcpu = this;
    if (const auto life = vm_.run_state(); life != Vm::RunState::Running) [[unlikely]] {
        if (life == Vm::RunState::Ended) return false;
        const Activity before = activity();
        activity_.store(Activity::Paused, std::memory_order_seq_cst);
        port_.wait(kNever);
        activity_.store(before, std::memory_order_seq_cst);
        return true;
    }
    if (const uint32_t bits = requests_.load(std::memory_order_acquire)) [[unlikely]]
        take_requests(bits);
    if (down_) [[unlikely]] {
        if (requests_.load(std::memory_order_seq_cst) == 0) port_.wait(kNever);
        return true;
    }
    if (halted_) [[unlikely]] {
        if (!wake_condition()) sleep();
        if (halted_ && !wake_condition()) return true;
        halted_ = false;
        if (polling_) end_poll();
    }
    prepare_entry();
    const uint64_t timers = clock_.deadline(), lapic_timer = lapic_.timer_deadline();
    const uint64_t deadline = timers < lapic_timer ? timers : lapic_timer;
    // An exit that changed nothing but registers needs no new decision: whatever another thread wants comes
    // with a kick, which ends the next run at once, and an open request for the interrupt window stands.
    ExitReason reason = port_.run(deadline);
    while (!state_.interrupted_event && quick(reason)) reason = port_.run(deadline);
    if (state_.interrupted_event) [[unlikely]]
        reinject_interrupted();
    dispatch(reason);
    return true;
}

void Vcpu::take_requests(uint32_t bits) {
    requests_.fetch_and(~bits, std::memory_order_seq_cst);
    if (bits & kNmi) {
        nmi_pending_ = true;
        if (down_ && !init_received_) down_ = false;  // an NMI ends HLT even with interrupts off
    }
    if ((bits & kResumed) && awaiting_resume_) {
        awaiting_resume_ = false;
        state_.gpr[0] = vm_.resume_result();
    }
    if (bits & kInit) {
        lapic_.reset();
        down_ = init_received_ = true;
        halted_ = nmi_pending_ = false;
        activity_.store(Activity::Down, std::memory_order_seq_cst);
    }
    if ((bits & kSipi) && down_ && init_received_)
        enter_real_mode(sipi_vector_.load(std::memory_order_relaxed));
    if (!down_ && activity() == Activity::Down) activity_.store(Activity::Running, std::memory_order_seq_cst);
}

bool Vcpu::wake_condition() const {
    if (requests_.load(std::memory_order_seq_cst) || nmi_pending_) return true;
    // A spinlock's slow path polls with interrupts off: an upcall that it cannot take must not turn its sleep
    // into a busy loop.
    if (polling_ && !(state_.rflags & kFlagInterrupts)) return false;
    if (vm_.events().upcall_pending(index_) && (vm_.callback_vector() || polling_)) return true;
    return lapic_.deliverable() >= 0;
}

void Vcpu::sleep() {
    const bool flag = vm_.runstate_flag.load(std::memory_order_relaxed);
    uint64_t deadline = clock_.deadline();
    if (lapic_.timer_deadline() < deadline) deadline = lapic_.timer_deadline();
    if (polling_ && poll_deadline_ < deadline) deadline = poll_deadline_;

    clock_.enter_runstate(RUNSTATE_blocked, port_.now_tsc(), flag);
    activity_.store(Activity::Blocked, std::memory_order_relaxed);
    port_.wait(deadline);
    activity_.store(Activity::Running, std::memory_order_relaxed);
    const uint64_t now = port_.now_tsc();
    clock_.enter_runstate(RUNSTATE_running, now, flag);
    expire_timers(now);
    if (polling_) end_poll();
}

// However it ended, the guest looks for itself.
void Vcpu::end_poll() {
    polling_ = halted_ = false;
    const std::lock_guard guard{vm_.lock()};
    vm_.events().set_polling(index_, false);
}

void Vcpu::expire_timers(uint64_t now) {
    if (now >= lapic_.timer_deadline()) lapic_.timer_expired(now);
    if (now >= clock_.deadline() && clock_.expire(now)) vm_.raise_virq(VIRQ_TIMER, index_);
}

void Vcpu::block(bool polling, uint64_t poll_deadline) {
    halted_ = true;
    polling_ = polling;
    poll_deadline_ = poll_deadline;
}

void Vcpu::go_down() {
    down_ = true;
    init_received_ = false;
    clock_.enter_runstate(RUNSTATE_offline, port_.now_tsc(),
                          vm_.runstate_flag.load(std::memory_order_relaxed));
    activity_.store(Activity::Down, std::memory_order_seq_cst);
    vm_.vcpu_went_down();
}

// ---- events ----------------------------------------------------------------------------------------------

// Decides what the next entry injects. The callback vector is level-triggered from upcall_pending, without
// EOI, and so never enters the LAPIC; the guest clears upcall_pending first thing in its handler.
void Vcpu::prepare_entry() {
    if (nmi_pending_ && !state_.inject) [[unlikely]] {
        state_.inject = event(2, kTypeNmi);
        nmi_pending_ = false;
    }
    const uint8_t callback = vm_.callback_vector();
    bool upcall = callback && vm_.events().upcall_pending(index_);
    const int vector = lapic_.deliverable();
    bool want_window = false;
    if (upcall || vector >= 0) {
        if (state_.inject == event(callback, kTypeExternal)) upcall = false;  // chosen before, not yet taken
        if (state_.inject || !(state_.rflags & kFlagInterrupts) || state_.interrupt_shadow) {
            want_window = upcall || vector >= 0;
        } else if (upcall) {
            state_.inject = event(callback, kTypeExternal);
            want_window = vector >= 0;
        } else {
            lapic_.accept(static_cast<uint8_t>(vector));
            state_.inject = event(static_cast<uint8_t>(vector), kTypeExternal);
            want_window = lapic_.deliverable() >= 0;
        }
    }
    state_.want_window = want_window;
}

// The exit came in the middle of the delivery of an event: deliver it again. Software interrupts are left
// out, because RIP still points at the instruction that raises them.
void Vcpu::reinject_interrupted() {
    const uint64_t again = state_.interrupted_event;
    state_.interrupted_event = 0;
    if (!(again & kEventValid)) return;
    const uint64_t type = (again >> 8) & 7, vector = again & 0xff;
    if (type == kTypeSoftware || (type == kTypeException && (vector == 3 || vector == 4))) return;
    state_.inject = again;
}

void Vcpu::inject_exception(uint8_t vector, bool has_error, uint32_t error) {
    state_.inject = event(vector, kTypeException) | (has_error ? kEventError | uint64_t{error} << 32 : 0);
}

// RFLAGS.TF: the CPU did not complete the instruction, so the trap after it is ours to raise.
void Vcpu::single_step() {
    constexpr uint64_t kSingleStep = 1 << 14;
    if (!(state_.valid & VcpuState::kDebug)) port_.sync();
    state_.dr6 |= kSingleStep;
    state_.dirty |= VcpuState::kDebug;
    if (!state_.inject) inject_exception(1);
}

void Vcpu::carry_out(const LapicAction& action) {
    if (action.kind == LapicAction::SendIpi) vm_.send_ipi(*this, action.ipi);
    // INIT cleared the IRR: an upcall vector posted before the LAPIC was enabled would be lost for good.
    if (action.kind == LapicAction::SoftwareEnabled && upcall_vector() && vm_.events().upcall_pending(index_))
        lapic_.post(upcall_vector());
}

// ---- start states (APM vol. 2, table 14-1) ---------------------------------------------------------------

void Vcpu::fill_reset_state() {
    const uint64_t want = state_.want;
    state_ = VcpuState{};
    state_.want = want;
    state_.rflags = 2;
    state_.rip = 0xfff0;
    state_.gpr[2] = 0x600;
    state_.cr0 = 0x60000010;
    state_.pat = 0x0007040600070406;
    const SegmentState data{0, 0x93, 0xffff, 0};
    state_.es = state_.ss = state_.ds = state_.fs = state_.gs = data;
    state_.cs = {0xf000, 0x9b, 0xffff, 0xffff0000};
    state_.ldtr = {0, 0x82, 0xffff, 0};
    state_.tr = {0, 0x8b, 0xffff, 0};
    state_.gdtr = state_.idtr = {0, 0, 0xffff, 0};
    state_.dr6 = 0xffff0ff0;
    state_.dr7 = 0x400;
    state_.xcr0 = 1;
    state_.dirty = VcpuState::kAllGroups;
    if (vm_.config().pause_exits) state_.flags = VcpuState::kPauseExits;
}

void Vcpu::enter_real_mode(uint8_t sipi_vector) {
    fill_reset_state();
    state_.rip = 0;
    state_.cs = {static_cast<uint16_t>(sipi_vector << 8), 0x9b, 0xffff, uint64_t{sipi_vector} << 12};
    down_ = init_received_ = false;
    clock_.enter_runstate(RUNSTATE_running, port_.now_tsc(),
                          vm_.runstate_flag.load(std::memory_order_relaxed));
    activity_.store(Activity::Running, std::memory_order_seq_cst);
}

void Vcpu::start_protected(uint32_t entry, uint32_t rbx) {
    fill_reset_state();
    state_.rip = entry;
    state_.gpr[3] = rbx;
    state_.cr0 = 0x11;  // PE, ET
    const SegmentState data{0, 0xc93, 0xffffffff, 0};
    state_.cs = {0, 0xc9b, 0xffffffff, 0};
    state_.es = state_.ss = state_.ds = state_.fs = state_.gs = data;
    state_.tr = {0, 0x8b, 0x67, 0};
    down_ = init_received_ = false;
    activity_.store(Activity::Running, std::memory_order_seq_cst);
}

// ---- report ----------------------------------------------------------------------------------------------

std::string Vcpu::describe() {
    static constexpr const char* kNames[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                               "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15"};
    port_.sync();
    std::string text;
    char line[160];
    const auto add = [&](const char* name, uint64_t value, bool newline) {
        std::snprintf(line, sizeof line, "  %s %016llx%s", name, static_cast<unsigned long long>(value),
                      newline ? "\n" : "");
        text += line;
    };
    for (unsigned i = 0; i < 16; ++i) add(kNames[i], state_.gpr[i], i % 4 == 3);
    add("rip", state_.rip, false);
    add("rfl", state_.rflags, false);
    add("cr0", state_.cr0, false);
    add("cr2", state_.cr2, true);
    add("cr3", state_.cr3, false);
    add("cr4", state_.cr4, false);
    add("efer", state_.efer, false);
    add("cs", state_.cs.selector, true);
    text += trace_.dump(16);
    return text;
}

}  // namespace bulkhead::vmm
