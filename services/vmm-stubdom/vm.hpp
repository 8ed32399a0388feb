// SPDX-License-Identifier: Apache-2.0
// One guest: its memory, vCPUs, event channels, grants, parameters and life. The root object of the VMM's
// model; nothing in it knows the kernel (see CpuPort, PageProvider, VmObserver), so that all of it runs in
// host tests.
//
// Threads: one per vCPU and one I/O thread. lock() guards event channels, grants and parameters. What the hot
// exits read (run state, callback vector, CPUID policy, clock) is immutable or atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "services/vmm-stubdom/cpu_port.hpp"
#include "services/vmm-stubdom/cpuid_policy.hpp"
#include "services/vmm-stubdom/event_channels.hpp"
#include "services/vmm-stubdom/grant_table.hpp"
#include "services/vmm-stubdom/memory/guest_memory.hpp"
#include "services/vmm-stubdom/vcpu.hpp"

namespace bulkhead::vmm {

struct VmConfig {
    std::string name = "guest";
    uint16_t domid = 1;
    std::array<uint8_t, 16> uuid{};
    unsigned vcpus = 1;
    uint64_t ram_bytes = 0;
    uint64_t tsc_khz = 1'000'000;
    uint64_t start_tsc = 0;
    uint64_t wall_clock_ns = 0;  // since 1970, at start_tsc
    bool upcall_vector = false;  // offer per-vCPU upcall vectors (CPUID leaf 4 bit 6)
    bool pause_exits = false;    // more vCPUs than CPUs: yield at PAUSE
    uint64_t console_gfn = 0xfeffc, store_gfn = 0xfeffd;
};

// How a guest ended or why it waits, for dom0.
struct ExitReport {
    enum Reason : uint32_t { None, Poweroff, Reboot, Suspend, Crash, Watchdog, Killed } reason = None;
    uint32_t code = 0;  // what the guest passed to SCHEDOP_shutdown
    std::string text;   // a sentence, for `xl dmesg`; empty when the guest did what it wanted
};
const char* reason_name(ExitReport::Reason reason);

// Guest pages outside RAM, made when the guest asks for them (grant frames).
class PageProvider {
  public:
    virtual ~PageProvider() = default;
    virtual std::byte* populate(
        Gfn frame) = 0;  // zeroed and mapped for the guest; nullptr: no memory, or there is one
};

// Called with or without the VM.s lock held: must not take it.
class VmObserver {
  public:
    virtual ~VmObserver() = default;
    virtual void log(std::string_view sentence) = 0;       // to `xl dmesg`; any thread
    virtual void console_text(std::string_view text) = 0;  // console_io
    virtual void notify_device(
        uint32_t device) = 0;    // a guest signalled it; under the VM's lock: only pass it on
    virtual void changed() = 0;  // ended or suspended: look at report()
};

enum Device : uint32_t { kConsoleDevice = 1, kStoreDevice = 2 };

class Vm final : EventSink {
  public:
    enum class RunState : uint32_t { Paused, Running, Suspended, Ended };

    Vm(VmConfig config, const GuestMemory& memory, PageProvider& pages, VmObserver& observer,
       CpuidSource host);
    ~Vm() override = default;
    Vcpu& add_vcpu(CpuPort& port);  // in order of index, before anything runs

    // Life, any thread
    void start();  // Paused, Suspended -> Running
    void pause();
    void unpause() { start(); }
    void end(ExitReport report);  // first one wins; all vCPUs stop
    void suspend();               // SCHEDOP_shutdown(suspend)
    void resume(bool cancelled);
    RunState run_state() const { return run_state_.load(std::memory_order_acquire); }
    ExitReport report() const;
    void crash(Vcpu& vcpu,
               std::string_view what);  // logs name, vcpu, what, registers and the last exits, then ends
    void vcpu_went_down();              // all down: power-off
    void trigger_nmi(unsigned vcpu);
    uint64_t resume_result() const {
        return resume_result_.load(std::memory_order_acquire);
    }  // of SCHEDOP_shutdown(suspend)

    // Parts
    std::mutex& lock() { return mutex_; }
    const VmConfig& config() const { return config_; }
    const PvClock& clock() const { return clock_; }
    const CpuidPolicy& cpuid() const { return cpuid_; }
    const GuestMemory& memory() const { return memory_; }
    EventChannels& events() { return events_; }
    GrantTable& grants() { return grants_; }
    VmObserver& observer() { return observer_; }
    unsigned vcpus() const { return static_cast<unsigned>(vcpus_.size()); }
    Vcpu& vcpu(unsigned index) { return *vcpus_[index]; }
    const Vcpu& vcpu(unsigned index) const { return *vcpus_[index]; }

    // Delivery
    uint8_t callback_vector() const { return callback_vector_.load(std::memory_order_relaxed); }  // 0: none
    void send_ipi(Vcpu& from, const Ipi& ipi);
    void raise(Port port);  // by a device; takes the lock
    void raise_virq(uint32_t virq, unsigned vcpu);

    // Under the lock, for the hypercalls
    int64_t set_param(uint32_t index, uint64_t value);
    int64_t get_param(uint32_t index, uint64_t& value) const;
    int64_t map_shared_info(Gfn frame);
    int64_t map_grant_frame(unsigned index, Gfn frame);
    std::byte* page(Gfn frame);  // RAM, or populated outside it; nullptr: neither
    void publish_wall_clock();
    std::atomic<bool> runstate_flag{false};  // VMASST_TYPE_runstate_update_flag
    Port console_port() const { return console_port_; }
    Port store_port() const { return store_port_; }

  private:
    // EventSink
    void upcall(unsigned vcpu) override;
    void wake_poller(unsigned vcpu) override;
    void notify_device(uint32_t device) override { observer_.notify_device(device); }
    void kick_all();

    static constexpr unsigned kMaxExtraPages = 96;

    const VmConfig config_;
    const GuestMemory memory_;
    const PvClock clock_;
    const CpuidPolicy cpuid_;
    PageProvider& pages_;
    VmObserver& observer_;
    mutable std::mutex mutex_;
    EventChannels events_;
    GrantTable grants_;
    std::vector<std::unique_ptr<Vcpu>> vcpus_;
    std::array<uint64_t, HVM_NR_PARAMS> params_{};
    std::vector<std::pair<Gfn, std::byte*>> extra_pages_;
    Port console_port_ = 0, store_port_ = 0;
    std::atomic<uint8_t> callback_vector_{0};
    std::atomic<RunState> run_state_{RunState::Paused};
    mutable std::mutex report_mutex_;
    ExitReport report_;
    std::atomic<uint64_t> resume_result_{0};
};

}  // namespace bulkhead::vmm
