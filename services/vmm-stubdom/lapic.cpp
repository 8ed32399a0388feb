// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/lapic.hpp"

#include <bit>

namespace bulkhead::vmm {

namespace {

// Register offsets in the xAPIC page; the x2APIC MSR is 0x800 + offset / 16.
enum Register : uint32_t {
    kId = 0x20,
    kVersion = 0x30,
    kTpr = 0x80,
    kApr = 0x90,
    kPpr = 0xa0,
    kEoi = 0xb0,
    kLdr = 0xd0,
    kDfr = 0xe0,
    kSpiv = 0xf0,
    kIsr = 0x100,
    kTmr = 0x180,
    kIrr = 0x200,
    kEsr = 0x280,
    kIcrLow = 0x300,
    kIcrHigh = 0x310,
    kLvtTimer = 0x320,
    kLvtError = 0x370,
    kInitialCount = 0x380,
    kCurrentCount = 0x390,
    kDivide = 0x3e0,
    kSelfIpi = 0x3f0,
};

constexpr uint32_t kVersionValue = 0x50014;  // six LVT entries, version 0x14
constexpr uint32_t kMasked = 1u << 16;
constexpr uint32_t kPeriodic = 1u << 17;
constexpr uint64_t kBusCycleNs = 10;  // 100 MHz, as Xen's
constexpr uint64_t kNoDeadline = ~uint64_t{0};

int highest_bit(const uint64_t (&words)[4]) {
    for (int i = 3; i >= 0; --i)
        if (words[i]) return i * 64 + 63 - std::countl_zero(words[i]);
    return -1;
}

uint32_t slice(const uint64_t (&words)[4], uint32_t index) {
    return static_cast<uint32_t>(words[index / 2] >> (32 * (index & 1)));
}

}  // namespace

Lapic::Lapic(uint32_t id, const PvClock& clock, bool boot_cpu)
    : id_{id}, clock_{clock}, base_{kLapicBase | kEnabled | (boot_cpu ? kBootCpu : 0)} {
    reset();
}

void Lapic::reset() {
    for (auto& word : irr_) word.store(0, std::memory_order_relaxed);
    for (auto& word : isr_) word = 0;
    tpr_ = 0;
    spurious_.store(0xff, std::memory_order_relaxed);
    logical_.store(0, std::memory_order_relaxed);
    format_.store(0xffffffff, std::memory_order_relaxed);
    icr_ = 0;
    for (auto& entry : lvt_) entry = kMasked;
    error_ = divide_ = initial_count_ = 0;
    timer_deadline_ = kNoDeadline;
}

// ---- interrupts ------------------------------------------------------------------------------------------

bool Lapic::post(uint8_t vector) {
    const uint64_t bit = uint64_t{1} << (vector & 63);
    return (irr_[vector >> 6].fetch_or(bit, std::memory_order_seq_cst) & bit) == 0;
}

int Lapic::highest_in_service() const {
    return highest_bit(isr_);
}

uint8_t Lapic::processor_priority() const {
    const int in_service = highest_in_service();
    const uint8_t service_class = in_service < 0 ? uint8_t{0} : static_cast<uint8_t>(in_service & 0xf0);
    return (tpr_ & 0xf0) >= service_class ? tpr_ : service_class;
}

int Lapic::deliverable() const {
    if (!any_requested() || !software_enabled()) return -1;
    for (int i = 3; i >= 0; --i) {
        const uint64_t word = irr_[i].load(std::memory_order_acquire);
        if (!word) continue;
        const int vector = i * 64 + 63 - std::countl_zero(word);
        return (vector & 0xf0) > (processor_priority() & 0xf0) ? vector : -1;
    }
    return -1;
}

void Lapic::accept(uint8_t vector) {
    const uint64_t bit = uint64_t{1} << (vector & 63);
    irr_[vector >> 6].fetch_and(~bit, std::memory_order_relaxed);
    isr_[vector >> 6] |= bit;
}

void Lapic::end_of_interrupt() {
    const int vector = highest_in_service();
    if (vector >= 0) isr_[vector >> 6] &= ~(uint64_t{1} << (vector & 63));
}

bool Lapic::accepts_destination(const Ipi& ipi) const {
    const bool broadcast = ipi.destination == (ipi.x2apic ? 0xffffffffu : 0xffu);
    if (broadcast) return true;
    if (!ipi.logical) return ipi.destination == id_;
    if (ipi.x2apic)
        return (ipi.destination >> 16) == (id_ >> 4) && (ipi.destination & (1u << (id_ & 15))) != 0;
    const uint32_t mine = logical_.load(std::memory_order_relaxed) >> 24;
    if ((format_.load(std::memory_order_relaxed) >> 28) == 0xf) return (mine & ipi.destination) != 0;  // flat
    return (mine >> 4) == (ipi.destination >> 4) && (mine & ipi.destination & 0xf) != 0;  // cluster
}

// ---- registers -------------------------------------------------------------------------------------------

uint32_t Lapic::read(uint32_t offset, uint64_t now_tsc) const {
    switch (offset) {
        case kId: return x2apic() ? id_ : id_ << 24;
        case kVersion: return kVersionValue;
        case kTpr: return tpr_;
        case kPpr: return processor_priority();
        case kLdr:
            return x2apic() ? ((id_ >> 4) << 16) | (1u << (id_ & 15))
                            : logical_.load(std::memory_order_relaxed);
        case kDfr: return format_.load(std::memory_order_relaxed);
        case kSpiv: return spurious_.load(std::memory_order_relaxed);
        case kEsr: return error_;
        case kIcrLow: return static_cast<uint32_t>(icr_);
        case kIcrHigh: return static_cast<uint32_t>(icr_ >> 32);
        case kInitialCount: return initial_count_;
        case kCurrentCount: return timer_current(now_tsc);
        case kDivide: return divide_;
        default: break;
    }
    if (offset >= kLvtTimer && offset <= kLvtError) return lvt_[(offset - kLvtTimer) / 16];
    if (offset >= kIsr && offset < kTmr) return slice(isr_, (offset - kIsr) / 16);
    if (offset >= kIrr && offset < kEsr) {
        const uint32_t index = (offset - kIrr) / 16;
        return static_cast<uint32_t>(irr_[index / 2].load(std::memory_order_relaxed) >> (32 * (index & 1)));
    }
    return 0;
}

bool Lapic::write_lvt(uint32_t offset, uint32_t value) {
    const uint32_t index = (offset - kLvtTimer) / 16;
    lvt_[index] = software_enabled() ? value : value | kMasked;
    return true;
}

LapicAction Lapic::write(uint32_t offset, uint32_t value, uint64_t now_tsc) {
    switch (offset) {
        case kTpr: tpr_ = static_cast<uint8_t>(value); break;
        case kEoi: end_of_interrupt(); break;
        case kLdr: logical_.store(value & 0xff000000, std::memory_order_relaxed); break;
        case kDfr: format_.store(value | 0x0fffffff, std::memory_order_relaxed); break;
        case kSpiv: {
            const bool was = software_enabled();
            spurious_.store(value & 0x3ff, std::memory_order_relaxed);
            if (!software_enabled())
                for (auto& entry : lvt_) entry |= kMasked;
            if (!was && software_enabled()) return {LapicAction::SoftwareEnabled, {}};
            break;
        }
        case kEsr: error_ = 0; break;
        case kIcrLow: return write_icr((icr_ & 0xffffffff00000000) | value, false);
        case kIcrHigh: icr_ = (icr_ & 0xffffffff) | (uint64_t{value} << 32); break;
        case kInitialCount:
            initial_count_ = value;
            start_timer(now_tsc);
            break;
        case kDivide: divide_ = value & 0xb; break;
        default:
            if (offset >= kLvtTimer && offset <= kLvtError) write_lvt(offset, value);
            break;
    }
    return {};
}

LapicAction Lapic::write_icr(uint64_t value, bool x2) {
    icr_ = value & ~uint64_t{1 << 12};  // delivery is immediate: the status bit never shows
    Ipi ipi;
    ipi.x2apic = x2;
    ipi.destination = static_cast<uint32_t>(x2 ? value >> 32 : value >> 56);
    ipi.vector = static_cast<uint8_t>(value);
    ipi.mode = static_cast<IpiMode>((value >> 8) & 7);
    ipi.logical = (value & (1 << 11)) != 0;
    ipi.assert_level = (value & (1 << 14)) != 0 || (value & (1 << 15)) == 0;
    ipi.shorthand = static_cast<IpiShorthand>((value >> 18) & 3);
    if ((ipi.mode == IpiMode::Fixed || ipi.mode == IpiMode::LowestPriority) && ipi.vector < 16) {
        error_ |= 1u << 5;  // send illegal vector
        return {};
    }
    return {LapicAction::SendIpi, ipi};
}

std::optional<uint64_t> Lapic::read_msr(uint32_t msr, uint64_t now_tsc) const {
    if (!x2apic()) return std::nullopt;
    const uint32_t offset = (msr - 0x800) * 16;
    switch (offset) {
        case kDfr:
        case kIcrHigh:
        case kEoi:
        case kSelfIpi:
        case kApr: return std::nullopt;
        case kIcrLow: return icr_;
        default: break;
    }
    const bool known = offset == kId || offset == kVersion || offset == kTpr || offset == kPpr ||
                       offset == kLdr || offset == kSpiv || (offset >= kIsr && offset <= kEsr) ||
                       (offset >= kLvtTimer && offset <= kCurrentCount) || offset == kDivide;
    if (!known) return std::nullopt;
    return read(offset, now_tsc);
}

LapicAction Lapic::write_msr(uint32_t msr, uint64_t value, uint64_t now_tsc) {
    constexpr LapicAction fault{LapicAction::Fault, {}};
    if (!x2apic()) return fault;
    const uint32_t offset = (msr - 0x800) * 16;
    if (offset == kIcrLow) return write_icr(value, true);
    if (value >> 32) return fault;
    const auto low = static_cast<uint32_t>(value);
    switch (offset) {
        case kSelfIpi: return write_icr((low & 0xff) | (uint64_t{1} << 18), true);
        case kEoi:
        case kEsr:
            if (low) return fault;
            [[fallthrough]];
        case kTpr:
        case kSpiv:
        case kInitialCount:
        case kDivide: return write(offset, low, now_tsc);
        default: break;
    }
    if (offset >= kLvtTimer && offset <= kLvtError) return write(offset, low, now_tsc);
    return fault;
}

bool Lapic::set_base_msr(uint64_t value) {
    const uint64_t writable = kEnabled | kExtended;
    if ((value & ~writable) != (base_ & ~writable))
        return false;  // the page does not move, the boot flag is read-only
    const bool enabled = (value & kEnabled) != 0, extended = (value & kExtended) != 0;
    if (extended && !enabled) return false;
    if (x2apic() && enabled && !extended) return false;  // x2APIC is left through "disabled" only
    if (extended && !(base_ & kEnabled)) return false;
    if (!enabled && (base_ & kEnabled)) reset();
    base_ = value;
    return true;
}

// ---- timer -----------------------------------------------------------------------------------------------

uint64_t Lapic::timer_period_ticks() const {
    const uint32_t code = (divide_ & 3) | ((divide_ >> 1) & 4);
    const uint64_t divisor = code == 7 ? 1 : uint64_t{2} << code;
    return clock_.ticks(uint64_t{initial_count_} * kBusCycleNs * divisor);
}

void Lapic::start_timer(uint64_t now_tsc) {
    timer_deadline_ = initial_count_ ? now_tsc + timer_period_ticks() : kNoDeadline;
}

uint32_t Lapic::timer_current(uint64_t now_tsc) const {
    if (timer_deadline_ == kNoDeadline || now_tsc >= timer_deadline_) return 0;
    const uint64_t period = timer_period_ticks();
    if (!period) return 0;
    const auto left = static_cast<long double>(timer_deadline_ - now_tsc) / static_cast<long double>(period);
    return static_cast<uint32_t>(left * initial_count_);
}

void Lapic::timer_expired(uint64_t now_tsc) {
    if (now_tsc < timer_deadline_) return;
    const uint32_t entry = lvt_[0];
    if (!(entry & kMasked) && (entry & 0xff) >= 16) post(static_cast<uint8_t>(entry));
    if (entry & kPeriodic) {
        // Missed periods are dropped, not replayed: a guest that was held up must not be buried in ticks.
        const uint64_t period = timer_period_ticks() ? timer_period_ticks() : 1;
        timer_deadline_ += ((now_tsc - timer_deadline_) / period + 1) * period;
    } else {
        timer_deadline_ = kNoDeadline;
    }
}

}  // namespace bulkhead::vmm
