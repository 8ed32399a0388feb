// SPDX-License-Identifier: Apache-2.0
// A machine in memory: domains that obey at once, a xenstore in a map, a terminal of strings.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "toolstack/xl/backend.hpp"
#include "toolstack/xl/terminal.hpp"

namespace bulkhead::xl {

class FakeTerminal : public Terminal {
  public:
    std::optional<std::size_t> read(std::span<char> into, std::int64_t timeout_ms) override;
    void write(std::string_view bytes) override { output += bytes; }

    std::string input;  // an unlimited wait past its end is the end of the input
    std::string output;
};

class FakeXenstore : public Xenstore {
  public:
    struct Node {
        std::string value;
        std::vector<NodePermission> permissions{{NodeAccess::None, 0}};
    };

    Result<std::string> read(TransactionId transaction, std::string_view path) override;
    Result<void> write(TransactionId transaction, std::string_view path, std::string_view value) override;
    Result<void> remove(TransactionId transaction, std::string_view path) override;
    Result<std::vector<std::string>> directory(TransactionId transaction, std::string_view path) override;
    Result<std::vector<NodePermission>> permissions(TransactionId transaction,
                                                    std::string_view path) override;
    Result<void> set_permissions(TransactionId transaction, std::string_view path,
                                 const std::vector<NodePermission>& list) override;
    Result<TransactionId> start_transaction() override;
    Result<void> end_transaction(TransactionId transaction, bool commit) override;
    Result<void> watch(std::string_view path) override;
    Result<void> unwatch(std::string_view path) override;
    Result<std::optional<std::string>> next_event(std::int64_t timeout_ms) override;

    std::map<std::string, Node> nodes{{"/", {}}};
    std::vector<std::string> watches;
    std::vector<std::string> events;
    int conflicts = 0;  // so many commits fail with Again
    int commits = 0, aborts = 0;

  private:
    std::map<std::string, Node>& view(TransactionId transaction) {
        return transaction == kNoTransaction ? nodes : copy_;
    }

    std::map<std::string, Node> copy_;
};

class FakeBackend : public Backend {
  public:
    FakeBackend();  // Domain-0, the stub domain "console" and the guest "debian" (ID 4)

    Result<std::vector<DomainInfo>> domains() override { return list; }
    Result<std::vector<VcpuInfo>> vcpus(DomainId domain) override;
    Result<DomainConfig> config(DomainId domain) override;
    Result<DomainId> create(const DomainConfig& config, std::span<const std::byte> kernel,
                            std::span<const std::byte> ramdisk) override;
    Result<void> pause(DomainId domain) override { return note("pause", domain); }
    Result<void> unpause(DomainId domain) override { return note("unpause", domain); }
    Result<void> destroy(DomainId domain) override { return note("destroy", domain); }
    Result<void> shutdown(DomainId domain) override { return note("shutdown", domain); }
    Result<void> reboot(DomainId domain) override { return note("reboot", domain); }
    Result<void> sysrq(DomainId domain, char key) override {
        return note(std::string("sysrq ") + key, domain);
    }
    Result<void> rename(DomainId domain, const std::string& name) override {
        return note("rename " + name, domain);
    }
    Result<std::optional<DomainEnd>> wait(DomainId domain, WaitFor what, std::int64_t timeout_ms) override;
    Result<ConsoleEnd> attach_console(DomainId domain, std::string_view typed) override;
    Result<std::string> console_log(DomainId) override { return printed; }
    Result<ExitTrace> exits(DomainId domain, std::uint32_t vcpu) override;
    Result<PhysInfo> physinfo() override;
    Result<IpcCost> ipc_cost(DomainId) override { return cost; }
    Result<std::vector<Finding>> hardware() override { return findings; }
    Result<std::string> kernel_log(bool clear) override;
    Result<CapabilityList> capabilities(std::optional<DomainId> domain) override;
    Result<std::vector<StubDomainInfo>> stub_domains() override;
    Result<void> restart_stub_domain(const std::string& name) override;
    Result<void> kill_stub_domain(const std::string& name, std::uint64_t delay_ms) override;
    Result<void> power_off_machine() override { return note("poweroff", 0); }
    Result<void> reboot_machine() override { return note("reset", 0); }
    void sleep_ms(std::uint64_t duration) override { slept += duration; }
    std::array<std::uint8_t, 16> random_bytes() override { return {1, 2, 3}; }
    Result<std::uint64_t> seconds_utc() override { return 86400 * 3 + 13 * 3600 + 2 * 60 + 9; }
    Result<std::span<const std::byte>> file(std::string_view path) override;
    Result<std::vector<std::string>> list_directory(std::string_view path) override;
    Xenstore& xenstore() override { return store; }

    std::vector<DomainInfo> list;
    std::map<DomainId, DomainConfig> configs;
    std::map<std::string, std::string> files;
    std::vector<std::string> calls;  // what was done, in order
    std::string typed_for_console;
    std::optional<Error> next_failure;  // for the next primitive that changes something
    std::optional<DomainEnd> end;       // what wait() answers; nullopt: timeouts
    std::string log = "kernel log\n";
    std::string printed;  // what console_log() answers
    std::vector<Finding> findings{{"CPU", Finding::Verdict::Works, "a fake"},
                                  {"IOMMU", Finding::Verdict::Missing, "none"}};
    ExitTrace trace;  // of each vCPU
    IpcCost cost{0, 700};
    std::uint64_t slept = 0;
    FakeXenstore store;

  private:
    Result<void> note(const std::string& what, DomainId domain);
};

}  // namespace bulkhead::xl
