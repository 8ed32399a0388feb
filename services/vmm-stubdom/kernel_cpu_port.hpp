// SPDX-License-Identifier: Apache-2.0
// A vCPU of the kernel: the Vcpu object, its state page and the notification that is bound to it. HLT and
// pause wait on the same notification, so that one kind of kick ends every wait.
#pragma once

#include <memory>

#include "lib/cap/environment.hpp"
#include "services/vmm-stubdom/cpu_port.hpp"

namespace bulkhead::vmm {

class KernelCpuPort final : public CpuPort {
  public:
    static cap::Expected<std::unique_ptr<KernelCpuPort>> create(cap::Environment& env,
                                                                cap::CapAddr guest_root);

    abi::VcpuState& state() override { return *state_; }
    abi::ExitReason run(uint64_t deadline_tsc) override;
    void sync() override;
    void wait(uint64_t deadline_tsc) override;
    void yield() override;
    uint64_t now_tsc() override { return cap::read_tsc(); }
    void kick() override;

    cap::Status last_error() const { return last_error_; }

  private:
    KernelCpuPort() = default;
    cap::Cap<cap::Vcpu> vcpu_;
    cap::Cap<cap::Frame> page_;
    cap::Mapping mapping_;
    cap::Cap<cap::Notification> notification_, kick_;
    abi::VcpuState* state_ = nullptr;
    cap::Status last_error_ = cap::Status::Ok;
};

}  // namespace bulkhead::vmm
