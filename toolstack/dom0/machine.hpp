// SPDX-License-Identifier: Apache-2.0
// What xl and the shell ask of the machine, answered by dom0's parts (xl::Backend).
#pragma once

#include "toolstack/dom0/guests.hpp"

namespace bulkhead::dom0 {

class Machine final : public xl::Backend {
  public:
    Machine(const abi::StartInfo& start, Guests::Parts parts, Guests& guests,
            std::function<void(std::uint64_t)> idle)
        : start_{start}, p_{parts}, guests_{guests}, idle_{std::move(idle)} {}

    xl::Result<std::vector<xl::DomainInfo>> domains() override;
    xl::Result<std::vector<xl::VcpuInfo>> vcpus(xl::DomainId domain) override;
    xl::Result<xl::DomainConfig> config(xl::DomainId domain) override;

    xl::Result<xl::DomainId> create(const xl::DomainConfig& config, std::span<const std::byte> kernel,
                                    std::span<const std::byte> ramdisk) override;
    xl::Result<void> pause(xl::DomainId domain) override { return guests_.pause(domain); }
    xl::Result<void> unpause(xl::DomainId domain) override { return guests_.unpause(domain); }
    xl::Result<void> destroy(xl::DomainId domain) override { return guests_.destroy(domain); }
    xl::Result<void> shutdown(xl::DomainId domain) override {
        return guests_.control(domain, "shutdown", "feature-poweroff", "poweroff");
    }
    xl::Result<void> reboot(xl::DomainId domain) override {
        return guests_.control(domain, "shutdown", "feature-reboot", "reboot");
    }
    xl::Result<void> sysrq(xl::DomainId domain, char key) override {
        return guests_.control(domain, "sysrq", nullptr, std::string(1, key));
    }
    xl::Result<void> rename(xl::DomainId domain, const std::string& name) override {
        return guests_.rename(domain, name);
    }

    xl::Result<std::optional<xl::DomainEnd>> wait(xl::DomainId domain, xl::WaitFor what,
                                                  std::int64_t timeout_ms) override;
    xl::Result<xl::ConsoleEnd> attach_console(xl::DomainId domain, std::string_view typed) override;

    xl::Result<std::string> console_log(xl::DomainId domain) override { return p_.console.history(domain); }
    xl::Result<xl::ExitTrace> exits(xl::DomainId domain, std::uint32_t vcpu) override {
        return guests_.exits(domain, vcpu);
    }
    xl::Result<xl::PhysInfo> physinfo() override;
    xl::Result<xl::IpcCost> ipc_cost(xl::DomainId domain) override { return guests_.ipc_cost(domain); }
    xl::Result<std::vector<xl::Finding>> hardware() override;
    xl::Result<std::string> kernel_log(bool clear) override;
    xl::Result<xl::CapabilityList> capabilities(std::optional<xl::DomainId> domain) override;
    xl::Result<std::vector<xl::StubDomainInfo>> stub_domains() override;
    xl::Result<void> restart_stub_domain(const std::string& name) override;
    xl::Result<void> kill_stub_domain(const std::string& name, std::uint64_t delay_ms) override;

    xl::Result<void> power_off_machine() override { return p_.platform.power_off(); }
    xl::Result<void> reboot_machine() override { return p_.platform.reset(); }

    void sleep_ms(std::uint64_t duration) override;
    std::array<std::uint8_t, 16> random_bytes() override;
    xl::Result<std::uint64_t> seconds_utc() override;

    xl::Result<std::span<const std::byte>> file(std::string_view path) override {
        return p_.files.contents(path);
    }
    xl::Result<std::vector<std::string>> list_directory(std::string_view path) override {
        return p_.files.list(path);
    }
    xl::Xenstore& xenstore() override { return p_.store; }

  private:
    xl::DomainInfo service_info(const SupervisedDomain& domain);

    const abi::StartInfo& start_;
    Guests::Parts p_;
    Guests& guests_;
    std::function<void(std::uint64_t)> idle_;
};

}  // namespace bulkhead::dom0
