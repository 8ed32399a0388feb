// SPDX-License-Identifier: Apache-2.0
// A built guest: its memory, model, threads and the ends of its two rings. Made once by the I/O thread, which
// owns it and calls pump(); the vCPU threads reach that thread by one notification.
#pragma once

#include <pthread.h>

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "lib/cap/environment.hpp"
#include "services/vmm-stubdom/console_ring.hpp"
#include "services/vmm-stubdom/guest_ram.hpp"
#include "services/vmm-stubdom/kernel_cpu_port.hpp"
#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xenstore_ring.hpp"

namespace bulkhead::vmm {

struct GuestConfig {
    VmConfig vm;
    std::string command_line;
    std::span<const std::byte> kernel, ramdisk;  // ramdisk may be empty
};

class Guest final : public VmObserver {
  public:
    // `wake` signals the calling thread. The error is a sentence.
    static std::expected<std::unique_ptr<Guest>, std::string> build(cap::Environment& env, GuestConfig config,
                                                                    ConsoleSink& console, XenstoreLink& store,
                                                                    cap::CapAddr wake);
    ~Guest() override;

    std::expected<void, std::string> start();  // the threads, once; then the guest
    void stop();                               // all vCPUs for good; returns when their threads have ended
    void pump();                               // rings and console_io text; call after every wake-up
    bool take_change() {
        return changed_.exchange(false);
    }  // the guest ended or was suspended since the last call

    Vm& vm() { return *vm_; }
    ConsoleRing& console() { return *console_; }
    XenstoreRing& store() { return *store_; }
    uint64_t ram_bytes() const { return ram_->ram_bytes(); }
    std::string text_since(uint64_t offset, uint64_t& next) const;  // console_io output

  private:
    Guest(cap::Environment& env, ConsoleSink& sink, cap::CapAddr wake)
        : env_{env}, sink_{sink}, wake_{wake} {}
    void run_vcpu(unsigned index);
    void pump_text();
    void wake() { cap::drop(cap::sys::signal(wake_)); }

    // VmObserver
    void log(std::string_view sentence) override;
    void console_text(std::string_view text) override;
    void notify_device(uint32_t device) override;
    void changed() override;

    static constexpr std::size_t kMostText = 16 << 10;

    cap::Environment& env_;
    ConsoleSink& sink_;
    const cap::CapAddr wake_;
    std::unique_ptr<GuestRam> ram_;
    std::vector<std::unique_ptr<KernelCpuPort>> ports_;
    std::unique_ptr<Vm> vm_;
    std::unique_ptr<ConsoleRing> console_;
    std::unique_ptr<XenstoreRing> store_;
    struct Start {
        Guest* guest;
        unsigned vcpu;
    };
    std::vector<Start> starts_;  // what the threads read as they begin
    std::vector<pthread_t> threads_;
    std::atomic<bool> changed_{false};
    mutable std::mutex text_mutex_;
    std::string text_;                        // the last of what console_io wrote
    uint64_t text_end_ = 0, text_shown_ = 0;  // offsets since the start
};

}  // namespace bulkhead::vmm
