// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/vcpu_clock.hpp"

#include <cstring>

namespace bulkhead::vmm {

namespace {
constexpr uint64_t kUpdateFlag = uint64_t{1} << 63;  // XEN_RUNSTATE_UPDATE
}

void VcpuClock::publish_time(std::byte* at) const {
    auto* version = reinterpret_cast<uint32_t*>(at);
    const uint32_t odd = (__atomic_load_n(version, __ATOMIC_RELAXED) & ~1u) + 1;
    __atomic_store_n(version, odd, __ATOMIC_SEQ_CST);
    vcpu_time_info_t info{};
    info.tsc_timestamp = clock_.start_tsc();
    info.system_time = 0;
    info.tsc_to_system_mul = clock_.mul();
    info.tsc_shift = clock_.shift();
    info.flags = XEN_PVCLOCK_TSC_STABLE_BIT;
    std::memcpy(at + 8, reinterpret_cast<const std::byte*>(&info) + 8, sizeof info - 8);
    __atomic_store_n(version, odd + 1, __ATOMIC_SEQ_CST);
}

void VcpuClock::set_runstate_area(std::span<std::byte> first, std::span<std::byte> second) {
    area_[0] = first;
    area_[1] = second;
    write_runstate(false);
}

void VcpuClock::write_runstate(bool flag) {
    if (area_[0].empty()) return;
    const auto store = [&](const xenabi::RunstateInfo& info) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&info);
        std::memcpy(area_[0].data(), bytes, area_[0].size());
        if (!area_[1].empty()) std::memcpy(area_[1].data(), bytes + area_[0].size(), area_[1].size());
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    };
    if (flag) {
        xenabi::RunstateInfo marked = runstate_;
        marked.state_entry_time |= kUpdateFlag;
        store(marked);
    }
    store(runstate_);
}

void VcpuClock::enter_runstate(int state, uint64_t now_tsc, bool flag) {
    if (state == runstate_.state) return;
    const uint64_t now = clock_.system_ns(now_tsc);
    const uint64_t spent = now > runstate_.state_entry_time ? now - runstate_.state_entry_time : 0;
    runstate_.time[runstate_.state] += spent;
    runstate_.state = state;
    runstate_.state_entry_time = now;
    running_ns_.store(runstate_.time[RUNSTATE_running], std::memory_order_relaxed);
    running_since_.store(state == RUNSTATE_running ? now_tsc : 0, std::memory_order_relaxed);
    write_runstate(flag);
}

uint64_t VcpuClock::running_ns(uint64_t now_tsc) const {
    const uint64_t since = running_since_.load(std::memory_order_relaxed);
    const uint64_t before = running_ns_.load(std::memory_order_relaxed);
    return since && now_tsc > since ? before + clock_.system_ns(now_tsc) - clock_.system_ns(since) : before;
}

void VcpuClock::set_periodic(uint64_t period_ns, uint64_t now_tsc) {
    period_ticks_ = clock_.ticks(period_ns);
    periodic_tsc_ = now_tsc + period_ticks_;
}

bool VcpuClock::expire(uint64_t now_tsc) {
    bool due = false;
    if (now_tsc >= singleshot_tsc_) {
        singleshot_tsc_ = kNever;
        due = true;
    }
    if (now_tsc >= periodic_tsc_) {
        periodic_tsc_ +=
            ((now_tsc - periodic_tsc_) / period_ticks_ + 1) * period_ticks_;  // missed ones are dropped
        due = true;
    }
    return due;
}

void VcpuClock::forget() {
    area_[0] = area_[1] = {};
    singleshot_tsc_ = periodic_tsc_ = kNever;
}

}  // namespace bulkhead::vmm
