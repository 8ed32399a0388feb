// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/vm.hpp"

#include <cstring>

#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

const char* reason_name(ExitReport::Reason reason) {
    switch (reason) {
        case ExitReport::None: return "none";
        case ExitReport::Poweroff: return "poweroff";
        case ExitReport::Reboot: return "reboot";
        case ExitReport::Suspend: return "suspend";
        case ExitReport::Crash: return "crash";
        case ExitReport::Watchdog: return "watchdog";
        case ExitReport::Killed: return "killed";
    }
    return "unknown";
}

namespace {

CpuidConfig cpuid_config(const VmConfig& config, const PvClock& clock) {
    CpuidConfig c;
    c.vcpus = config.vcpus;
    c.domid = config.domid;
    c.tsc_khz = config.tsc_khz;
    c.tsc_mul = clock.mul();
    c.tsc_shift = clock.shift();
    c.upcall_vector = config.upcall_vector;
    return c;
}

}  // namespace

Vm::Vm(VmConfig config, const GuestMemory& memory, PageProvider& pages, VmObserver& observer,
       CpuidSource host)
    : config_{std::move(config)},
      memory_{memory},
      clock_{config_.tsc_khz, config_.start_tsc},
      cpuid_{cpuid_config(config_, clock_), host},
      pages_{pages},
      observer_{observer},
      events_{config_.vcpus, *this} {
    // The rings' ports exist before the guest runs; the guest learns them by HVMOP_get_param.
    store_port_ = static_cast<Port>(events_.connect_device(kStoreDevice));
    console_port_ = static_cast<Port>(events_.connect_device(kConsoleDevice));
    params_[HVM_PARAM_STORE_PFN] = config_.store_gfn;
    params_[HVM_PARAM_STORE_EVTCHN] = store_port_;
    params_[HVM_PARAM_CONSOLE_PFN] = config_.console_gfn;
    params_[HVM_PARAM_CONSOLE_EVTCHN] = console_port_;
    publish_wall_clock();
}

Vcpu& Vm::add_vcpu(CpuPort& port) {
    vcpus_.push_back(std::make_unique<Vcpu>(*this, vcpus(), port));
    return *vcpus_.back();
}

// ---- life ------------------------------------------------------------------------------------------------

void Vm::kick_all() {
    for (auto& vcpu : vcpus_) vcpu->kick();
}

void Vm::start() {
    RunState expected = RunState::Paused;
    if (run_state_.compare_exchange_strong(expected, RunState::Running)) kick_all();
}

void Vm::pause() {
    RunState expected = RunState::Running;
    if (run_state_.compare_exchange_strong(expected, RunState::Paused)) kick_all();
}

void Vm::end(ExitReport report) {
    {
        const std::lock_guard guard{report_mutex_};
        if (run_state_.exchange(RunState::Ended) == RunState::Ended) return;
        report_ = std::move(report);
    }
    if (!report_.text.empty()) observer_.log(report_.text);
    kick_all();
    observer_.changed();
}

ExitReport Vm::report() const {
    const std::lock_guard guard{report_mutex_};
    return report_;
}

void Vm::suspend() {
    {
        const std::lock_guard guard{report_mutex_};
        RunState expected = RunState::Running;
        if (!run_state_.compare_exchange_strong(expected, RunState::Suspended)) return;
        report_ = ExitReport{ExitReport::Suspend, SHUTDOWN_suspend, {}};
    }
    kick_all();
    observer_.changed();
}

void Vm::resume(bool cancelled) {
    if (run_state() != RunState::Suspended) return;
    if (!cancelled) {
        // The guest registers everything again, as after a fresh start.
        const std::lock_guard guard{mutex_};
        events_.reset();
        events_.forget_memory();
        grants_.forget();
        publish_wall_clock();
        for (auto& vcpu : vcpus_) {
            vcpu->clock().forget();
            vcpu->clock().publish_time(events_.vcpu_info(vcpu->index()) + offsetof(vcpu_info_t, time));
        }
    }
    resume_result_.store(cancelled ? 1 : 0, std::memory_order_release);
    {
        const std::lock_guard guard{report_mutex_};
        report_ = {};
        RunState expected = RunState::Suspended;
        if (!run_state_.compare_exchange_strong(expected, RunState::Running)) return;
    }
    for (auto& vcpu : vcpus_) vcpu->request(Vcpu::kResumed);
}

void Vm::crash(Vcpu& vcpu, std::string_view what) {
    std::string text =
        "vmm: " + config_.name + ": vcpu " + std::to_string(vcpu.index()) + ": " + std::string{what};
    observer_.log(text + "\n" + vcpu.describe());
    end(ExitReport{ExitReport::Crash, SHUTDOWN_crash, std::move(text)});
}

void Vm::vcpu_went_down() {
    // Linux powers off without a word: every vCPU halts with interrupts off. A vCPU that waits for its first
    // SIPI counts.
    for (const auto& vcpu : vcpus_)
        if (vcpu->online()) return;
    end(ExitReport{ExitReport::Poweroff, SHUTDOWN_poweroff, {}});
}

void Vm::trigger_nmi(unsigned vcpu) {
    if (vcpu < vcpus()) vcpus_[vcpu]->request(Vcpu::kNmi);
}

// ---- delivery --------------------------------------------------------------------------------------------

void Vm::upcall(unsigned index) {
    if (index >= vcpus()) return;
    Vcpu& target = *vcpus_[index];
    if (const uint8_t vector = target.upcall_vector())
        target.post(vector);
    else
        target.kick();
}

void Vm::wake_poller(unsigned index) {
    if (index < vcpus()) vcpus_[index]->kick();
}

void Vm::raise(Port port) {
    const std::lock_guard guard{mutex_};
    events_.raise(port);
}

void Vm::raise_virq(uint32_t virq, unsigned vcpu) {
    const std::lock_guard guard{mutex_};
    events_.raise_virq(virq, vcpu);
}

void Vm::send_ipi(Vcpu& from, const Ipi& ipi) {
    for (auto& target : vcpus_) {
        bool hit = false;
        switch (ipi.shorthand) {
            case IpiShorthand::Self: hit = target.get() == &from; break;
            case IpiShorthand::All: hit = true; break;
            case IpiShorthand::Others: hit = target.get() != &from; break;
            case IpiShorthand::None: hit = target->lapic().accepts_destination(ipi); break;
        }
        if (!hit) continue;
        switch (ipi.mode) {
            case IpiMode::Fixed: target->post(ipi.vector); break;
            case IpiMode::LowestPriority: target->post(ipi.vector); return;  // any one of them
            case IpiMode::Nmi: target->request(Vcpu::kNmi); break;
            case IpiMode::Init:
                if (ipi.assert_level) target->request(Vcpu::kInit);
                break;
            case IpiMode::Startup: target->request(Vcpu::kSipi, ipi.vector); break;
            case IpiMode::Smi: break;
        }
    }
}

// ---- memory and parameters, under the lock ---------------------------------------------------------------

std::byte* Vm::page(Gfn frame) {
    if (const auto ram = memory_.span(frame.address(), kGuestPageSize)) return ram->data();
    for (const auto& [gfn, host] : extra_pages_)
        if (gfn == frame) return host;
    return nullptr;
}

int64_t Vm::map_shared_info(Gfn frame) {
    std::byte* target = page(frame);
    if (!target) {
        if (!frame.addressable() || extra_pages_.size() >= kMaxExtraPages) return -XEN_ENOMEM;
        target = pages_.populate(frame);
        if (!target) return -XEN_ENOMEM;
        extra_pages_.emplace_back(frame, target);
    }
    events_.set_shared_info(target);
    publish_wall_clock();
    return 0;
}

int64_t Vm::map_grant_frame(unsigned index, Gfn frame) {
    if (index >= GrantTable::kMaxFrames) return -XEN_EINVAL;
    std::byte* old = grants_.frame(index);
    std::byte* target = page(frame);
    if (!target) {
        if (!frame.addressable() || extra_pages_.size() >= kMaxExtraPages) return -XEN_ENOMEM;
        target = pages_.populate(frame);
        if (!target) return -XEN_ENOMEM;
        extra_pages_.emplace_back(frame, target);
    }
    if (target == old) return 0;
    if (old)
        std::memcpy(target, old, kGuestPageSize);
    else
        std::memset(target, 0, kGuestPageSize);
    grants_.set_frame(index, target);
    return 0;
}

void Vm::publish_wall_clock() {
    std::byte* shared = events_.shared_info();
    auto* version = reinterpret_cast<uint32_t*>(shared + offsetof(shared_info_t, wc_version));
    const uint32_t odd = (__atomic_load_n(version, __ATOMIC_RELAXED) & ~1u) + 1;
    __atomic_store_n(version, odd, __ATOMIC_SEQ_CST);
    const uint64_t seconds = config_.wall_clock_ns / 1'000'000'000;
    const auto low = static_cast<uint32_t>(seconds), high = static_cast<uint32_t>(seconds >> 32);
    const auto nanoseconds = static_cast<uint32_t>(config_.wall_clock_ns % 1'000'000'000);
    std::memcpy(shared + offsetof(shared_info_t, wc_sec), &low, 4);
    std::memcpy(shared + offsetof(shared_info_t, wc_nsec), &nanoseconds, 4);
    std::memcpy(shared + offsetof(shared_info_t, wc_sec_hi), &high, 4);
    __atomic_store_n(version, odd + 1, __ATOMIC_SEQ_CST);
}

int64_t Vm::set_param(uint32_t index, uint64_t value) {
    if (index >= HVM_NR_PARAMS) return -XEN_EINVAL;
    if (index != HVM_PARAM_CALLBACK_IRQ) return -XEN_EPERM;
    params_[index] = value;
    // Type 2 is a vector on every vCPU. Types 0 and 1 name interrupt lines, which a PVH guest does not have;
    // Linux writes the value 1 only to say that it set per-vCPU vectors.
    const bool vector = (value >> 56) == HVM_PARAM_CALLBACK_TYPE_VECTOR;
    callback_vector_.store(vector ? static_cast<uint8_t>(value) : uint8_t{0}, std::memory_order_seq_cst);
    kick_all();
    return 0;
}

int64_t Vm::get_param(uint32_t index, uint64_t& value) const {
    if (index >= HVM_NR_PARAMS) return -XEN_EINVAL;
    value = params_[index];
    return 0;
}

}  // namespace bulkhead::vmm
