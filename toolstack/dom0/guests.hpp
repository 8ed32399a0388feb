// SPDX-License-Identifier: Apache-2.0
// The guests: building, running and ending them. Every change of a guest's phase is in the journal before its
// first capability operation; recover() takes up whatever the last dom0 left, in any phase.
//
// Not re-entrant: while one operation waits for a service, what VMMs report is kept for the next attend().
#pragma once

#include <map>

#include "toolstack/dom0/console_terminal.hpp"
#include "toolstack/dom0/files.hpp"
#include "toolstack/dom0/ledger.hpp"
#include "toolstack/dom0/platform_client.hpp"
#include "toolstack/dom0/ring_xenstore.hpp"
#include "toolstack/dom0/spawner.hpp"
#include "toolstack/dom0/vmm_client.hpp"
#include "toolstack/xl/backend.hpp"

namespace bulkhead::dom0 {

class Guests {
  public:
    struct Parts {
        Loop& loop;
        Spawner& spawner;
        RingXenstore& store;
        ConsoleTerminal& console;
        PlatformClient& platform;
        Files& files;
        State& state;
        Journal& journal;
        Memory& memory;
    };
    explicit Guests(Parts parts) : p_{parts}, ledger_{parts.state, parts.journal, parts.memory} {}

    void recover();
    // Deals with what happened to guests: on_poweroff and its kin, leftovers in xenstore. Cheap when nothing
    // did.
    void attend();
    // An operation is under way, and waits for something.
    bool busy() const { return busy_ != 0; }

    xl::Result<xl::DomainId> create(const xl::DomainConfig& config);
    xl::Result<void> destroy(xl::DomainId id);
    xl::Result<void> pause(xl::DomainId id);
    xl::Result<void> unpause(xl::DomainId id);
    xl::Result<void> rename(xl::DomainId id, const std::string& name);
    xl::Result<void> control(xl::DomainId id, const char* node, const char* feature,
                             const std::string& value);

    // nullopt: it is not there (any more).
    std::optional<xl::DomainEnd> end_of(xl::DomainId id);
    bool exists(xl::DomainId id) { return living(id) != nullptr; }
    const DomainRecord* record(xl::DomainId id) { return living(id); }

    std::vector<xl::DomainInfo> list();
    xl::Result<std::vector<xl::VcpuInfo>> vcpus(xl::DomainId id);
    xl::Result<xl::IpcCost> ipc_cost(xl::DomainId id);
    xl::Result<xl::ExitTrace> exits(xl::DomainId id, std::uint32_t vcpu);

  private:
    struct Guest {
        Spawner::Contexts contexts;  // main, then one per vCPU
        std::unique_ptr<VmmClient> vmm;
    };
    // Keeps attend() away while an operation is under way.
    struct Busy {
        explicit Busy(Guests& guests) : guests_{guests} { guests_.busy_++; }
        ~Busy() { guests_.busy_--; }
        Guests& guests_;
    };

    DomainRecord* living(xl::DomainId id);
    Guest* guest(xl::DomainId id);
    bool commit() { return ledger_.commit(); }

    xl::Result<xl::DomainId> create_as(const xl::DomainConfig& config, std::uint32_t successor_of);
    xl::Result<void> construct(xl::DomainId id);
    xl::Result<void> spawn(const DomainRecord& record);
    xl::Result<void> hand_over(const DomainRecord& record);
    void spread(const DomainRecord& record, Guest& guest);
    xl::Result<void> connect(xl::DomainId id, Guest& guest);
    void take_apart(xl::DomainId id, bool restart);
    void clean_up(xl::DomainId id);
    void succeed(xl::DomainId id);
    void reconnect(const DomainRecord& record);

    void look_at(xl::DomainId id);
    void ended(xl::DomainId id, xl::ShutdownReason reason, const std::string& message);
    void set_aside(xl::DomainId id);
    xl::DomainInfo info(const DomainRecord& record);
    bool is_paused(const DomainRecord& record, const Guest& guest) const;
    void refresh_states();

    Parts p_;
    Ledger ledger_;
    std::map<xl::DomainId, Guest> guests_;
    std::vector<xl::DomainId> logs_to_forget_;
    unsigned busy_ = 0;
    std::uint32_t next_cpu_ = 0;
};

}  // namespace bulkhead::dom0
