// SPDX-License-Identifier: Apache-2.0
// Building a guest, taking it apart, and doing either to the end when the last dom0 could not.
#include <algorithm>
#include <cstring>

#include "toolstack/dom0/guest_nodes.hpp"
#include "toolstack/dom0/guests.hpp"
#include "toolstack/xl/path.hpp"
#include "toolstack/xl/text.hpp"

namespace bulkhead::dom0 {
namespace {

using cap::Status;
using xl::DomainId;
using xl::ErrorKind;
using xl::Result;

constexpr std::int64_t kConnectMs = 60'000,
                       kBuildMs = 300'000;  // an emulator decompresses a kernel in its own time

std::unexpected<xl::Error> failed(ErrorKind kind, const std::string& what, Status status) {
    return xl::fail(kind, what + ": " + cap::describe(status) + ".");
}

}  // namespace

Result<DomainId> Guests::create(const xl::DomainConfig& config) {
    const Busy busy{*this};
    return create_as(config, 0);
}

// `successor_of`: see Ledger::begin().
Result<DomainId> Guests::create_as(const xl::DomainConfig& config, std::uint32_t successor_of) {
    const auto id = ledger_.begin(config, successor_of, cap::read_tsc());
    if (!id && id.error() == Ledger::Refusal::JournalFull)
        return xl::fail(ErrorKind::NoSpace, "dom0's journal is full: there are too many guests.");
    if (!id) {
        const std::uint64_t own_mib = (1u << Ledger::vmm_bits(config)) >> 20;
        using ULL = unsigned long long;
        return xl::fail(
            ErrorKind::NoSpace,
            xl::format(
                "not enough free memory: %llu MiB are needed (%llu of them for its VMM), %llu MiB are free.",
                ULL{config.memory_mib + own_mib}, ULL{own_mib}, ULL{p_.memory.free_bytes() >> 20}));
    }
    auto built = construct(*id);
    if (built && !ledger_.complete(*id)) built = xl::fail(ErrorKind::NoSpace, "dom0's journal is full.");
    if (built) {
        cap::log_line(xl::format("dom0: %s is domain %u: %llu MiB, %u vCPUs", config.name.c_str(), *id,
                                 static_cast<unsigned long long>(config.memory_mib), config.vcpus),
                      abi::LogLevel::Info);
        return *id;
    }
    take_apart(*id, false);
    return std::unexpected(built.error());
}

Result<void> Guests::construct(DomainId id) {
    if (const Status status = ledger_.carry_out(); status != Status::Ok)
        return failed(ErrorKind::NoSpace, "its memory cannot be split off", status);
    const DomainRecord record = *p_.state.find(id);
    if (auto ok = spawn(record); !ok) return ok;
    Guest& g = guests_[id];
    auto contexts = p_.spawner.contexts(id);
    if (!contexts) return failed(ErrorKind::Other, "its scheduling contexts cannot be had", contexts.error());
    g.contexts = std::move(*contexts);
    spread(record, g);
    if (auto ok = connect(id, g); !ok) return ok;

    VmmConfiguration c;
    c.name = record.config.name;
    c.command_line = record.config.command_line;
    c.domain = id;
    if (record.config.uuid) c.uuid = record.config.uuid->bytes;
    c.memory_kib = record.config.memory_mib * 1024;
    c.max_memory_kib = record.config.max_memory_mib * 1024;
    // A guest starts with all that it may have, and its kernel takes offline whose cpu/N/availability says
    // so.
    c.vcpus = c.max_vcpus = record.config.max_vcpus;
    const auto time = p_.platform.up() ? p_.platform.time() : Result<PlatformClient::Time>{};
    c.wall_clock_tsc = time ? time->tsc : cap::read_tsc();
    c.wall_clock_ns = time ? time->nanoseconds_utc : 0;
    if (auto ok = g.vmm->configure(c, kBuildMs); !ok) return ok;
    if (auto ok = g.vmm->build(kBuildMs); !ok) {
        // The VMM does not know its kernel's name.
        const bool kernel = ok.error().sentence.find("kernel") != std::string::npos;
        return kernel ? xl::fail(ok.error().kind, record.config.kernel + ": " + ok.error().sentence) : ok;
    }
    (void)g.vmm->take_change();
    if (auto ok = write_guest_nodes(p_.store, record, g.vmm->state(), c.wall_clock_ns / 1'000'000'000); !ok)
        return xl::fail(ok.error().kind,
                        "its xenstore nodes cannot be written: " + ok.error().sentence + ".");
    return {};
}

Result<void> Guests::spawn(const DomainRecord& record) {
    abi::SpawnRequest request{};
    std::memcpy(request.template_name, "vmm", 3);
    std::memcpy(request.name, record.config.name.data(),
                std::min(record.config.name.size(), sizeof request.name - 1));
    request.tag = record.id;
    request.vcpus = std::max(record.config.vcpus, record.config.max_vcpus);
    request.weight = record.config.cpu_weight;
    const auto kernel = p_.files.find(xl::normalize_path(record.config.kernel));
    if (!kernel)
        return xl::fail(ErrorKind::NotFound,
                        "its kernel '" + record.config.kernel + "' is not there any more.");
    request.kernel_offset = kernel->offset;
    request.kernel_size = kernel->size;
    if (!record.config.ramdisk.empty()) {
        const auto ramdisk = p_.files.find(xl::normalize_path(record.config.ramdisk));
        if (!ramdisk)
            return xl::fail(ErrorKind::NotFound,
                            "its ramdisk '" + record.config.ramdisk + "' is not there any more.");
        request.ramdisk_offset = ramdisk->offset;
        request.ramdisk_size = ramdisk->size;
    }
    if (const Status status = p_.spawner.begin(request); status != Status::Ok)
        return failed(ErrorKind::Other, "the supervisor refuses to spawn its VMM", status);
    if (auto ok = hand_over(record); !ok) return ok;
    if (const Status status = p_.spawner.finish(); status != Status::Ok)
        return failed(ErrorKind::Other, "its VMM cannot be started; `xl dmesg` tells more", status);
    return {};
}

// Of each chunk the supervisor gets a child of the full size; the parent stays in the kept CNode.
Result<void> Guests::hand_over(const DomainRecord& record) {
    cap::CSpace& cspace = p_.loop.env().cspace;
    for (std::size_t done = 0; done < record.chunks.size();) {
        std::vector<cap::Cap<cap::Untyped>> children;
        std::vector<cap::CapAddr> slots;
        for (; done < record.chunks.size() && children.size() < abi::kMessageCaps; done++) {
            auto child = cspace.empty<cap::Untyped>();
            if (!child) return failed(ErrorKind::NoSpace, "dom0 has no free capability slots", child.error());
            const std::uint32_t slot = record.chunks[done];
            const Status status = cap::sys::retype(p_.memory.address(slot), cap::ObjectType::Untyped,
                                                   p_.state.nodes[slot].bits, child->address());
            if (status != Status::Ok)
                return failed(ErrorKind::Other, "its memory cannot be handed over", status);
            slots.push_back(child->address());
            children.push_back(std::move(*child));
        }
        if (const Status status = p_.spawner.memory(slots); status != Status::Ok)
            return failed(ErrorKind::Other, "the supervisor refuses its memory", status);
    }
    return {};
}

// The I/O thread stays on CPU 0, where the services are: a call reaches a server only on its own CPU. The
// vCPUs are dealt out.
void Guests::spread(const DomainRecord& record, Guest& g) {
    const std::uint32_t cpus = p_.loop.env().kernel.cpus;
    for (std::size_t i = 1; i < g.contexts.size(); i++) {
        std::uint32_t cpu = next_cpu_++ % cpus;
        if (const std::size_t vcpu = i - 1; vcpu < record.config.affinity.size())
            for (std::uint32_t tries = 0; tries < cpus && !record.config.affinity[vcpu].contains(cpu);
                 tries++)
                cpu = (cpu + 1) % cpus;
        const auto now = cap::sys::sched_read(g.contexts[i].address());
        if (!now.ok() || (now.r1 & 0xff) == cpu) continue;
        (void)p_.spawner.configure(record.id, static_cast<unsigned>(i), cpu,
                                   static_cast<unsigned>(now.r1 >> 8 & 0xff), record.config.cpu_weight);
    }
}

Result<void> Guests::connect(DomainId id, Guest& g) {
    auto endpoint = p_.spawner.control(id);
    if (!endpoint) return failed(ErrorKind::Other, "its VMM has no control channel", endpoint.error());
    g.vmm = std::make_unique<VmmClient>(p_.loop, std::move(*endpoint));
    g.vmm->start();
    (void)p_.loop.until(p_.loop.deadline_ms(kConnectMs), [&] { return g.vmm->up() || g.vmm->gone(); });
    if (!g.vmm->up())
        return xl::fail(ErrorKind::Gone,
                        "its VMM cannot be reached: " + g.vmm->why() + "; `xl dmesg` may tell more.");
    return {};
}

// ---- the end

Result<void> Guests::destroy(DomainId id) {
    const Busy busy{*this};
    if (!living(id))
        return xl::fail(ErrorKind::NotFound, xl::format("there is no guest with the ID %u.", id));
    take_apart(id, false);
    return {};
}

void Guests::take_apart(DomainId id, bool restart) {
    const DomainRecord& record = *p_.state.find(id);
    if (record.phase == Phase::Live)
        cap::log_line(xl::format("dom0: %s, domain %u, is destroyed%s", record.config.name.c_str(), id,
                                 restart ? " and built again" : ""),
                      abi::LogLevel::Info);
    ledger_.tear_down(id, restart, [&] {  // nothing of it runs now, and nobody can see into its memory
        p_.spawner.forget(id);
        guests_.erase(id);
    });
    logs_to_forget_.push_back(id);
    clean_up(id);
}

// Of one that is Gone: its nodes in xenstore, its successor, its record. Without xenstore it waits for the
// next attend().
void Guests::clean_up(DomainId id) {
    DomainRecord* record = p_.state.find(id);
    if (!record || record->phase != Phase::Gone) return;
    if (auto ok = remove_guest_nodes(p_.store, *record); !ok) return;
    if (record->restart) succeed(id);
    ledger_.erase(id);
}

void Guests::succeed(DomainId id) {
    const xl::DomainConfig config = p_.state.find(id)->config;
    const auto successor = create_as(config, id);
    auto running = successor ? unpause(*successor) : Result<void>{std::unexpected(successor.error())};
    if (!running) cap::log_line("dom0: " + config.name + " cannot be restarted: " + running.error().sentence);
    if (DomainRecord* record = p_.state.find(id)) record->restart = false;
}

// ---- a new dom0

void Guests::reconnect(const DomainRecord& record) {
    Guest& g = guests_[record.id];
    if (g.contexts.empty())
        if (auto contexts = p_.spawner.contexts(record.id)) g.contexts = std::move(*contexts);
    g.vmm.reset();
    auto endpoint = p_.spawner.control(record.id);
    if (!endpoint) return;
    g.vmm = std::make_unique<VmmClient>(p_.loop, std::move(*endpoint));
    g.vmm->start();
}

void Guests::recover() {
    const Busy busy{*this};
    std::vector<DomainId> ids;
    for (const DomainRecord& record : p_.state.domains) ids.push_back(record.id);
    const auto running = p_.spawner.domains();
    for (const DomainId id : ids) {
        const DomainRecord* record = p_.state.find(id);
        if (!record) continue;
        const auto domain = std::ranges::find(running, id, &SupervisedDomain::tag);
        const bool alive = domain != running.end() && domain->state == abi::DomainState::Running;
        if (record->phase == Phase::Building || record->phase == Phase::Dying)
            take_apart(id, record->restart);
        else if (record->phase == Phase::Gone)
            clean_up(id);
        else if (alive)
            reconnect(*record);
        else if (!record->ended)
            ended(id, xl::ShutdownReason::Crash, "its VMM died while dom0 was away");
    }
}

}  // namespace bulkhead::dom0
