// SPDX-License-Identifier: Apache-2.0
// One virtual CPU: its run loop, what interrupts it gets and when, and what happens at each exit.
//
// run() is the body of the vCPU's own thread. Other threads reach it only through request() and the LAPIC's
// post(), each followed by a kick. The common exits (CPUID, xen_version, RDMSR, LAPIC access) touch nothing
// but this object.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "services/vmm-stubdom/cpu_port.hpp"
#include "services/vmm-stubdom/instruction_cache.hpp"
#include "services/vmm-stubdom/lapic.hpp"
#include "services/vmm-stubdom/msr_policy.hpp"
#include "services/vmm-stubdom/trace_ring.hpp"
#include "services/vmm-stubdom/vcpu_clock.hpp"

namespace bulkhead::vmm {

class Vm;

class Vcpu {
  public:
    // What a thread is doing, for `xl vcpu-list`. Down: waits for SIPI, or halted with interrupts off.
    enum class Activity : uint32_t { Running, Blocked, Down, Paused, Ended };
    enum Request : uint32_t { kInit = 1, kSipi = 2, kNmi = 4, kResumed = 8 };

    Vcpu(Vm& vm, unsigned index, CpuPort& port);
    Vcpu(const Vcpu&) = delete;
    Vcpu& operator=(const Vcpu&) = delete;

    void run();   // until the VM ends
    bool step();  // one turn of run(); false: the VM has ended. For run() and for tests

    // Any thread
    void request(uint32_t bits, uint8_t sipi_vector = 0);
    void post(uint8_t vector);
    void kick();  // unless the caller is this vCPU's own thread
    Activity activity() const { return activity_.load(std::memory_order_relaxed); }
    bool online() const { return activity() != Activity::Down; }

    unsigned index() const { return index_; }
    Lapic& lapic() { return lapic_; }
    VcpuClock& clock() { return clock_; }
    CpuPort& port() { return port_; }
    abi::VcpuState& state() { return state_; }
    InstructionCache& instructions() { return instructions_; }
    TraceRing& trace() { return trace_; }

    // Before the first run
    void start_protected(uint32_t entry, uint32_t rbx);  // PVH: flat 32-bit

    // Own thread, for the exit and hypercall handlers
    void await_resume() { awaiting_resume_ = true; }   // SCHEDOP_shutdown(suspend): its result comes later
    void block(bool polling, uint64_t poll_deadline);  // sleep once the handler has returned
    void go_down();                                    // HLT with interrupts off, VCPUOP_down
    void set_upcall_vector(uint8_t vector) { upcall_vector_.store(vector, std::memory_order_relaxed); }
    uint8_t upcall_vector() const { return upcall_vector_.load(std::memory_order_relaxed); }
    void finish_instruction(uint64_t next_rip) {
        state_.rip = next_rip;
        state_.interrupt_shadow = 0;  // it covers one instruction only
        if (state_.rflags & 0x100) [[unlikely]]
            single_step();
    }
    void inject_exception(uint8_t vector, bool has_error = false, uint32_t error = 0);
    void carry_out(const LapicAction& action);
    std::string describe();  // registers and the last exits; syncs

  private:
    // vcpu.cpp
    void take_requests(uint32_t bits);
    void sleep();
    void end_poll();
    bool wake_condition() const;
    void expire_timers(uint64_t now);
    void prepare_entry();
    void enter_real_mode(uint8_t sipi_vector);
    void fill_reset_state();
    void reinject_interrupted();

    // vcpu_exits.cpp
    bool quick(
        abi::ExitReason reason);  // carried out, without any effect on interrupts, timers or other vCPUs
    void dispatch(abi::ExitReason reason);
    void note(abi::ExitReason reason);
    uint64_t next_rip();  // of the exiting instruction; 0: cannot tell, run the guest again
    uint64_t linear_rip();
    void on_cpuid();
    void on_msr(bool write);
    void on_hypercall();
    void on_halt();
    void on_io();
    void on_nested_fault();
    void on_xsetbv();
    void on_exception();
    void single_step();
    void set_low(unsigned gpr, uint32_t value) { state_.gpr[gpr] = value; }

    Vm& vm_;
    const unsigned index_;
    CpuPort& port_;
    abi::VcpuState& state_;
    Lapic lapic_;
    MsrPolicy msrs_;
    VcpuClock clock_;
    InstructionCache instructions_;
    TraceRing trace_;

    std::atomic<uint32_t> requests_{0};
    std::atomic<uint8_t> sipi_vector_{0};
    std::atomic<uint8_t> upcall_vector_{0};
    std::atomic<Activity> activity_{Activity::Down};
    bool down_ = true, init_received_ = true, halted_ = false, polling_ = false, nmi_pending_ = false,
         awaiting_resume_ = false;
    uint64_t poll_deadline_ = ~uint64_t{0};
};

}  // namespace bulkhead::vmm
