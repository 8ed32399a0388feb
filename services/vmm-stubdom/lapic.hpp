// SPDX-License-Identifier: Apache-2.0
// One virtual local APIC (APM vol. 2, chapter 16): the xAPIC page and the x2APIC MSRs, priorities, the timer.
//
// Threads: post(), accepts_destination() and software_enabled() may be called by any thread; all else belongs
// to the vCPU's own thread. The only state that others change is the IRR, a bitmap of atomics, so that no
// access takes a lock. An access has no side effect on other vCPUs: a write answers with an Action that the
// caller carries out.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "services/vmm-stubdom/pv_clock.hpp"

namespace bulkhead::vmm {

inline constexpr uint64_t kLapicBase = 0xfee00000;

enum class IpiMode : uint8_t { Fixed = 0, LowestPriority = 1, Smi = 2, Nmi = 4, Init = 5, Startup = 6 };
enum class IpiShorthand : uint8_t { None = 0, Self = 1, All = 2, Others = 3 };

struct Ipi {
    uint32_t destination = 0;  // APIC id, or logical destination
    uint8_t vector = 0;
    IpiMode mode = IpiMode::Fixed;
    IpiShorthand shorthand = IpiShorthand::None;
    bool logical = false;
    bool assert_level = true;
    bool x2apic = false;  // width and meaning of `destination`
};

struct LapicAction {
    enum Kind : uint8_t { None, SendIpi, SoftwareEnabled, Fault } kind = None;
    Ipi ipi{};
};

class Lapic {
  public:
    Lapic(uint32_t id, const PvClock& clock, bool boot_cpu);
    Lapic(const Lapic&) = delete;
    Lapic& operator=(const Lapic&) = delete;

    void reset();  // INIT: the id and APIC_BASE survive

    // xAPIC page
    uint32_t read(uint32_t offset, uint64_t now_tsc) const;
    LapicAction write(uint32_t offset, uint32_t value, uint64_t now_tsc);
    // x2APIC MSRs 0x800..0x8ff; nullopt / Fault: #GP
    std::optional<uint64_t> read_msr(uint32_t msr, uint64_t now_tsc) const;
    LapicAction write_msr(uint32_t msr, uint64_t value, uint64_t now_tsc);

    uint64_t base_msr() const { return base_; }
    bool set_base_msr(uint64_t value);  // false: #GP (illegal transition or moved page)
    bool x2apic() const { return (base_ & kExtended) != 0; }
    bool xapic() const { return (base_ & (kEnabled | kExtended)) == kEnabled; }

    // interrupts
    bool post(uint8_t vector);  // any thread. true: newly pending, kick the vCPU
    bool software_enabled() const { return (spurious_.load(std::memory_order_relaxed) & 0x100) != 0; }
    int deliverable() const;  // highest vector above the processor priority, or -1
    bool any_requested() const {
        return (irr_[0].load(std::memory_order_relaxed) | irr_[1].load(std::memory_order_relaxed) |
                irr_[2].load(std::memory_order_relaxed) | irr_[3].load(std::memory_order_relaxed)) != 0;
    }
    void accept(uint8_t vector);  // IRR -> ISR at injection
    void end_of_interrupt();
    uint8_t task_priority() const { return tpr_; }
    bool accepts_destination(const Ipi& ipi) const;  // any thread; shorthand None only
    uint32_t id() const { return id_; }

    // timer
    uint64_t timer_deadline() const { return timer_deadline_; }  // TSC, or never
    void timer_expired(uint64_t now_tsc);                        // posts the vector when due

  private:
    static constexpr uint64_t kBootCpu = 1 << 8, kExtended = 1 << 10, kEnabled = 1 << 11;

    uint8_t processor_priority() const;
    int highest_in_service() const;
    LapicAction write_icr(uint64_t value, bool x2);
    bool write_lvt(uint32_t offset, uint32_t value);
    void start_timer(uint64_t now_tsc);
    uint32_t timer_current(uint64_t now_tsc) const;
    uint64_t timer_period_ticks() const;

    const uint32_t id_;
    const PvClock& clock_;
    uint64_t base_;
    std::atomic<uint64_t> irr_[4] = {};
    uint64_t isr_[4] = {};
    uint8_t tpr_ = 0;
    std::atomic<uint32_t> spurious_{0xff};
    std::atomic<uint32_t> logical_{0}, format_{0xffffffff};
    uint64_t icr_ = 0;
    uint32_t lvt_[6] = {};  // 0x320 timer … 0x370 error
    uint32_t error_ = 0, divide_ = 0, initial_count_ = 0;
    uint64_t timer_deadline_ = ~uint64_t{0};
};

}  // namespace bulkhead::vmm
