// SPDX-License-Identifier: Apache-2.0
// A guest's life after it was built: what people ask of it, and what it does by itself. Building and
// destroying: guest_build.cpp.
#include "toolstack/dom0/guests.hpp"

#include "toolstack/dom0/guest_nodes.hpp"
#include "toolstack/dom0/ipc_probe.hpp"
#include "toolstack/xl/text.hpp"

namespace bulkhead::dom0 {
namespace {

using xl::DomainId;
using xl::ErrorKind;
using xl::Result;
using xl::ShutdownReason;

constexpr std::int64_t kVmmAnswerMs = 10'000, kStateMs = 500;
constexpr std::uint64_t kTooShortNs = 1'000'000'000;  // a life that is not worth repeating after a crash

std::unexpected<xl::Error> no_such(DomainId id) {
    return xl::fail(ErrorKind::NotFound, xl::format("there is no guest with the ID %u.", id));
}

ShutdownReason reason_of(VmmState::Reason reason) {
    switch (reason) {
        case VmmState::Reason::Poweroff: return ShutdownReason::Poweroff;
        case VmmState::Reason::Reboot: return ShutdownReason::Reboot;
        case VmmState::Reason::Suspend: return ShutdownReason::Suspend;
        case VmmState::Reason::Watchdog: return ShutdownReason::Watchdog;
        case VmmState::Reason::None:
        case VmmState::Reason::Crash: break;
    }
    return ShutdownReason::Crash;
}

}  // namespace

DomainRecord* Guests::living(DomainId id) {
    DomainRecord* record = p_.state.find(id);
    return record && record->phase == Phase::Live ? record : nullptr;
}

Guests::Guest* Guests::guest(DomainId id) {
    const auto it = guests_.find(id);
    return it == guests_.end() ? nullptr : &it->second;
}

// ---- what people ask

Result<void> Guests::pause(DomainId id) {
    const DomainRecord* record = living(id);
    Guest* g = guest(id);
    if (!record || !g) return no_such(id);
    if (!record->unpaused) return {};  // its VMM holds it back already
    for (std::size_t i = 1; i < g->contexts.size(); i++)
        if (const auto status = cap::sys::sched_pause(g->contexts[i].address(), true);
            status != cap::Status::Ok)
            return xl::fail(ErrorKind::Other,
                            std::string{"its vCPUs cannot be paused: "} + cap::describe(status) + ".");
    return {};
}

Result<void> Guests::unpause(DomainId id) {
    const Busy busy{*this};
    DomainRecord* record = living(id);
    Guest* g = guest(id);
    if (!record || !g) return no_such(id);
    if (!record->unpaused) {
        if (!g->vmm) return xl::fail(ErrorKind::Gone, "its VMM is gone.");
        if (auto ok = g->vmm->unpause(kVmmAnswerMs); !ok) return ok;
        record = living(id);
        if (!record) return no_such(id);
        record->unpaused = true;
        (void)commit();
    }
    for (std::size_t i = 1; i < g->contexts.size(); i++)
        if (const auto status = cap::sys::sched_pause(g->contexts[i].address(), false);
            status != cap::Status::Ok)
            return xl::fail(ErrorKind::Other,
                            std::string{"its vCPUs cannot be unpaused: "} + cap::describe(status) + ".");
    return {};
}

Result<void> Guests::rename(DomainId id, const std::string& name) {
    const Busy busy{*this};
    DomainRecord* record = living(id);
    if (!record) return no_such(id);
    const std::string before = std::exchange(record->config.name, name);
    auto ok = rename_guest_nodes(p_.store, *record);
    if (ok && !commit()) ok = xl::fail(ErrorKind::NoSpace, "dom0's journal is full.");
    if (!ok) {
        record->config.name = before;
        return ok;
    }
    p_.console.rename(id, name);
    return {};
}

// control/shutdown and control/sysrq: the guest says by a feature node that it listens.
Result<void> Guests::control(DomainId id, const char* node, const char* feature, const std::string& value) {
    const Busy busy{*this};
    if (!living(id)) return no_such(id);
    const std::string control = guest_path(id) + "/control/";
    if (feature) {
        const auto listens = p_.store.read(xl::kNoTransaction, control + feature);
        if (!listens && listens.error().kind != ErrorKind::NotFound) return std::unexpected(listens.error());
        if (!listens || *listens != "1")
            return xl::fail(ErrorKind::Unsupported, "the guest does not listen on control/shutdown.");
    }
    return p_.store.write(xl::kNoTransaction, control + node, value);
}

std::optional<xl::DomainEnd> Guests::end_of(DomainId id) {
    const DomainRecord* record = living(id);
    if (!record) return xl::DomainEnd{true, ShutdownReason::Poweroff};
    if (record->ended) return xl::DomainEnd{false, static_cast<ShutdownReason>(record->reason)};
    return std::nullopt;
}

// ---- what it does by itself

void Guests::attend() {
    if (busy_ != 0) return;
    const Busy busy{*this};
    std::vector<DomainId> ids;
    for (const auto& [id, g] : guests_)
        if (g.vmm && g.vmm->take_change()) ids.push_back(id);
    for (const DomainId id : ids) look_at(id);
    if (p_.store.up()) {
        std::vector<DomainId> gone;
        for (const DomainRecord& record : p_.state.domains)
            if (record.phase == Phase::Gone) gone.push_back(record.id);
        for (const DomainId id : gone) clean_up(id);
    }
    if (!p_.console.attached())
        for (const DomainId id : std::exchange(logs_to_forget_, {})) p_.console.forget(id);
}

void Guests::look_at(DomainId id) {
    const DomainRecord* record = living(id);
    Guest* g = guest(id);
    if (!record || !g || !g->vmm || record->ended) return;
    if (g->vmm->gone()) {
        const auto domain = p_.spawner.find(id);
        if (domain && domain->state == abi::DomainState::Running)
            reconnect(*record);
        else
            ended(id, ShutdownReason::Crash, "its VMM died");
        return;
    }
    const VmmState& state = g->vmm->state();
    if (state.kind == VmmState::Kind::Shutdown || state.kind == VmmState::Kind::Crashed)
        ended(id, reason_of(state.reason), state.message);
}

void Guests::ended(DomainId id, ShutdownReason reason, const std::string& message) {
    DomainRecord* record = living(id);
    const xl::DomainConfig& c = record->config;
    xl::Action action = reason == ShutdownReason::Poweroff ? c.on_poweroff
                        : reason == ShutdownReason::Reboot ? c.on_reboot
                                                           : c.on_crash;
    if (reason == ShutdownReason::Suspend) action = xl::Action::Preserve;
    if (!message.empty()) cap::log_line("dom0: " + c.name + ": " + message);
    const std::uint64_t lived = p_.loop.env().clock.ns_of_ticks(cap::read_tsc() - record->created_tsc);
    if (action == xl::Action::Restart && reason != ShutdownReason::Reboot && lived < kTooShortNs) {
        cap::log_line("dom0: " + c.name + " ended within a second of its start and is not restarted");
        action = xl::Action::Destroy;
    }
    p_.store.domain_stopped(id);
    record->reason = static_cast<std::uint8_t>(reason);
    switch (action) {
        case xl::Action::Preserve:
            record->ended = true;
            (void)commit();
            return;
        case xl::Action::Destroy: return take_apart(id, false);
        case xl::Action::Restart: return take_apart(id, true);
        case xl::Action::RenameRestart: return set_aside(id);
    }
}

// on_…="rename-restart": the ended one stays under another name and UUID, a new one takes its place.
void Guests::set_aside(DomainId id) {
    DomainRecord* record = living(id);
    const xl::DomainConfig config = record->config;
    record->config.name = (config.name + "-" + std::to_string(id)).substr(0, 63);
    if (record->config.uuid)
        record->config.uuid->bytes[15] =
            static_cast<std::uint8_t>(record->config.uuid->bytes[15] ^ 0x5a ^ id);
    record->ended = true;
    if (auto ok = rename_guest_nodes(p_.store, *record); !ok)
        cap::log_line("dom0: " + config.name + ": xenstore: " + ok.error().sentence);
    p_.console.rename(id, record->config.name);
    // The commit of the successor's beginning is this one's too: dom0's death leaves both as they were, or
    // both done.
    auto successor = create_as(config, id);
    (void)commit();
    if (successor) {
        if (auto ok = unpause(*successor); !ok)
            cap::log_line("dom0: " + config.name + ": " + ok.error().sentence);
    } else {
        cap::log_line("dom0: " + config.name + " cannot be restarted: " + successor.error().sentence);
    }
}

// ---- what can be seen

bool Guests::is_paused(const DomainRecord& record, const Guest& g) const {
    if (!record.unpaused) return true;
    if (g.contexts.size() < 2) return false;
    const auto context = cap::sys::sched_read(g.contexts[1].address());
    return context.ok() && (context.r1 >> 32 & 1) != 0;
}

// All are asked at once; who does not answer in time is shown as it was.
void Guests::refresh_states() {
    std::vector<std::pair<DomainId, std::uint32_t>> asked;
    for (auto& [id, g] : guests_)
        if (g.vmm && g.vmm->up()) asked.emplace_back(id, g.vmm->ask_state());
    auto answered = [&] {
        for (const auto& [id, request] : asked)
            if (Guest* g = guest(id); g && g->vmm && g->vmm->up() && !g->vmm->answered(request)) return false;
        return true;
    };
    (void)p_.loop.until(p_.loop.deadline_ms(kStateMs), answered);
    for (const auto& [id, request] : asked)
        if (Guest* g = guest(id); g && g->vmm) g->vmm->drop(request);
}

xl::DomainInfo Guests::info(const DomainRecord& record) {
    xl::DomainInfo out;
    out.id = record.id;
    out.name = record.config.name;
    out.uuid = record.config.uuid.value_or(xl::Uuid{});
    out.memory_kib = record.config.memory_mib * 1024;
    out.max_memory_kib = record.config.max_memory_mib * 1024;
    out.vcpus = record.config.vcpus;
    out.uptime_ns = p_.loop.env().clock.ns_of_ticks(cap::read_tsc() - record.created_tsc);
    out.shutdown = record.ended;
    out.reason = static_cast<ShutdownReason>(record.reason);
    out.dying = record.phase != Phase::Live;
    const Guest* g = guest(record.id);
    if (!g) return out;
    out.paused = !record.ended && is_paused(record, *g);
    for (std::size_t i = 1; i < g->contexts.size(); i++)
        if (const auto context = cap::sys::sched_read(g->contexts[i].address()); context.ok())
            out.cpu_time_ns += p_.loop.env().clock.ns_of_ticks(context.r0);
    if (out.paused || out.shutdown || !g->vmm) return out;
    for (const auto& vcpu : g->vmm->state().vcpus) out.running |= vcpu.running;
    out.blocked = !out.running;
    return out;
}

std::vector<xl::DomainInfo> Guests::list() {
    const Busy busy{*this};
    refresh_states();
    std::vector<xl::DomainInfo> out;
    for (const DomainRecord& record : p_.state.domains)
        if (record.phase == Phase::Live || record.phase == Phase::Dying) out.push_back(info(record));
    return out;
}

Result<std::vector<xl::VcpuInfo>> Guests::vcpus(DomainId id) {
    const Busy busy{*this};
    if (!living(id)) return no_such(id);
    refresh_states();
    const DomainRecord* record = living(id);
    const Guest* g = guest(id);
    if (!record || !g) return no_such(id);
    const bool paused = is_paused(*record, *g);
    std::vector<xl::VcpuInfo> out;
    for (std::uint32_t i = 0; i + 1 < g->contexts.size(); i++) {
        xl::VcpuInfo vcpu;
        vcpu.index = i;
        if (const auto context = cap::sys::sched_read(g->contexts[i + 1].address()); context.ok()) {
            vcpu.cpu = static_cast<std::uint32_t>(context.r1 & 0xff);
            vcpu.cpu_time_ns = p_.loop.env().clock.ns_of_ticks(context.r0);
        }
        if (g->vmm && i < g->vmm->state().vcpus.size()) {
            const auto& seen = g->vmm->state().vcpus[i];
            vcpu.online = seen.online;
            vcpu.running = seen.running && !paused;
            vcpu.blocked = seen.blocked && !paused;
        }
        if (i < record->config.affinity.size()) vcpu.affinity = record->config.affinity[i];
        out.push_back(vcpu);
    }
    return out;
}

Result<xl::IpcCost> Guests::ipc_cost(DomainId id) {
    const Busy busy{*this};
    Guest* g = guest(id);
    if (!living(id) || !g || g->contexts.size() < 2) return no_such(id);
    const cap::CapAddr context = g->contexts[1].address();
    const auto state = cap::sys::sched_read(context);
    const auto ticks = measure_ipc(p_.loop.env(), context);
    if (!state.ok() || !ticks)
        return xl::fail(ErrorKind::Other, std::string{"IPC cannot be measured: "} +
                                              cap::describe(state.ok() ? ticks.error() : state.status) + ".");
    return xl::IpcCost{static_cast<std::uint32_t>(state.r1 & 0xff), *ticks};
}

Result<xl::ExitTrace> Guests::exits(DomainId id, std::uint32_t vcpu) {
    const Busy busy{*this};
    if (!living(id)) return no_such(id);
    Guest* g = guest(id);
    if (!g || !g->vmm) return xl::fail(ErrorKind::Gone, "its VMM is gone.");
    return g->vmm->trace(vcpu, kVmmAnswerMs);
}

}  // namespace bulkhead::dom0
