// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/supervisor.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "toolstack/supervisor/crash_report.hpp"

namespace bulkhead::supervisor {
namespace {

using cap::CapAddr;
using cap::IpcResult;
using cap::Status;

constexpr uint32_t kMaxDeaths = 8;  // within kForgetUs of each other: then the service has failed
constexpr uint64_t kForgetUs = 10'000'000, kFirstDelayUs = 10'000;
constexpr unsigned kReceiveSlots = abi::kMessageCaps;

void say(const std::string& text) {
    cap::log_line(text);
}

// A signal that a program sends to itself ends it with 128 + its number, as on Linux.
const char* meaning_of_exit(uint64_t code) {
    constexpr uint64_t kAborted = 128 + 6;
    return code == kAborted ? " (it aborted: abort(), a failed assertion or an uncaught exception)" : "";
}

// A call with the code, or, from another CPU, the personality's `ud2` with the same in its registers
// (lib/runtime, end_domain).
std::optional<uint64_t> exit_code_of(const IpcResult& message) {
    constexpr uint64_t kInvalidOpcode = 6;
    if (message.tag.label() == abi::kExitLabel) return message.w[0];
    if (message.tag.label() != abi::kFaultLabel || message.w[3] != kInvalidOpcode) return std::nullopt;
    abi::ThreadRegisters registers;
    std::memcpy(&registers, cap::ipc_buffer().data, sizeof registers);
    if (registers.rax != abi::kExitLabel || registers.rip - abi::kBlobBase >= (uint64_t{1} << 20))
        return std::nullopt;
    return registers.rdi;
}

}  // namespace

std::expected<std::unique_ptr<Supervisor>, std::string> Supervisor::create(Stock& stock) {
    std::unique_ptr<Supervisor> self{new Supervisor{stock}};
    auto reply = stock.env.memory.create<cap::Reply>();
    if (!reply)
        return std::unexpected(std::string{"supervisor: cannot make its reply object: "} +
                               cap::describe(reply.error()));
    self->reply_ = std::move(*reply);
    for (unsigned i = 0; i < kReceiveSlots; i++) {
        const auto slot = stock.env.cspace.slots().allocate();
        if (!slot) return std::unexpected(std::string{"supervisor: has no free slots"});
        self->receive_slots_.push_back(*slot);
    }
    return self;
}

uint32_t Supervisor::new_record() {
    const auto free = std::ranges::find_if(domains_, [](const auto& d) { return !d; });
    if (free != domains_.end()) {
        *free = std::make_unique<Domain>();
        return static_cast<uint32_t>(free - domains_.begin());
    }
    domains_.push_back(std::make_unique<Domain>());
    return static_cast<uint32_t>(domains_.size() - 1);
}

Domain* Supervisor::find(uint64_t tag) {
    const auto it = std::ranges::find_if(domains_, [&](const auto& d) { return d && d->tag == tag; });
    return it == domains_.end() ? nullptr : it->get();
}

// A service's chunk, and the frames that outlive it. Once; restarts use the same.
bool Supervisor::prepare_memory(Domain& domain) {
    const DomainSpec& spec = *domain.spec;
    auto chunk = stock_.env.memory.untyped(
        static_cast<unsigned>(std::bit_width(uint64_t{spec.memory_kib} * 1024 - 1)));
    if (!chunk) return false;
    domain.own_memory = std::move(*chunk);
    domain.chunks = {domain.own_memory.address()};
    domain.memory_bytes = uint64_t{spec.memory_kib} * 1024;
    for (const Grant& grant : spec.grants) {
        if (grant.type != GrantType::Keep) continue;
        Kept kept{
            grant.name, (uint64_t{grant.count} * 1024 + abi::kPageSize - 1) & ~(abi::kPageSize - 1), {}};
        for (uint64_t left = kept.bytes; left != 0;) {
            const unsigned bits =
                std::min<unsigned>(static_cast<unsigned>(std::bit_width(left)) - 1, abi::kLargePageBits);
            auto frame = stock_.env.memory.create<cap::Frame>(bits);
            if (!frame) return false;
            kept.frames.push_back(std::move(*frame));
            left -= uint64_t{1} << bits;
        }
        domain.memory_bytes += kept.bytes;
        domain.kept.push_back(std::move(kept));
    }
    return true;
}

void Supervisor::reserve_services() {
    for (const DomainSpec& spec : stock_.manifest.services) {
        Domain& domain = *domains_[new_record()];
        domain.spec = &spec;
        domain.name = spec.name;
        domain.tag = spec.tag;
        if (prepare_memory(domain)) continue;
        say("supervisor: " + spec.name + ": there is not enough memory for its " +
            std::to_string(spec.memory_kib) + " KiB (memory-kib in the manifest)");
        domain.state = abi::DomainState::Failed;
    }
}

void Supervisor::start_services() {
    for (uint32_t i = 0; i < domains_.size(); i++)
        if (domains_[i] && domains_[i]->state == abi::DomainState::Starting) start(i);
}

void Supervisor::start(uint32_t index) {
    Domain& domain = *domains_[index];
    const BuildResult built = build_domain(stock_, domain, index, SpawnExtras{});
    if (built) return;
    say(built.error());
    domain.state = abi::DomainState::Failed;
}

void Supervisor::do_what_is_due() {
    const uint64_t now = cap::read_tsc();
    for (uint32_t i = 0; i < domains_.size(); i++) {
        if (!domains_[i]) continue;
        Domain& domain = *domains_[i];
        if (domain.state == abi::DomainState::Running && domain.kill_at_tsc <= now) {
            say("supervisor: " + domain.name + " is killed, as asked");
            bury(domain);
        }
        if (domain.state == abi::DomainState::Restarting && domain.restart_at_tsc <= now) start(i);
    }
}

uint64_t Supervisor::next_due() const {
    uint64_t first = abi::kDeadlineNever;
    for (const auto& domain : domains_) {
        if (domain && domain->state == abi::DomainState::Restarting)
            first = std::min(first, domain->restart_at_tsc);
        if (domain && domain->state == abi::DomainState::Running)
            first = std::min(first, domain->kill_at_tsc);
    }
    return first;
}

void Supervisor::run() {
    abi::IpcBuffer& buffer = cap::ipc_buffer();
    for (;;) {
        std::ranges::copy(receive_slots_, buffer.receive_slots);
        const IpcResult message = cap::sys::ipc_recv(stock_.mailbox, reply_.address(), next_due());
        if (message.ok()) handle(message);
        do_what_is_due();
    }
}

void Supervisor::handle(const IpcResult& message) {
    if ((message.badge & ~uint64_t{0xffffffff}) == kFromDomain) {
        const auto index = static_cast<uint32_t>(message.badge);
        drop_received();
        if (index < domains_.size() && domains_[index] && domains_[index]->state == abi::DomainState::Running)
            on_death(*domains_[index], message);
        // Whoever faulted is gone with its domain; if not, it stays suspended. Either way the reply object is
        // free again: a receive with one in use is refused at once, and we would never sleep again.
        cap::drop(cap::sys::ipc_reply(reply_.address(), cap::Message{}));
        return;
    }
    const uint64_t label = message.tag.label();
    const Answer answer =
        message.badge == kFromSpawner ? spawn_call(label, message) : Answer{Status::NoRights};
    drop_received();
    const cap::Message out{abi::MessageTag{label, answer.words, answer.caps},
                           {static_cast<uint64_t>(answer.status), answer.w1, answer.w2, answer.w3}};
    cap::drop(cap::sys::ipc_reply(reply_.address(), out));
}

void Supervisor::drop_received() {
    for (const CapAddr slot : receive_slots_) cap::drop(cap::sys::cap_delete(slot));
}

void Supervisor::on_death(Domain& domain, const IpcResult& message) {
    const auto exit_code = exit_code_of(message);
    if (exit_code)
        say("supervisor: " + domain.name + " ended with exit code " + std::to_string(*exit_code) +
            meaning_of_exit(*exit_code));
    else if (message.tag.label() == abi::kFaultLabel)
        report_fault(domain, message);
    else
        say("supervisor: " + domain.name +
            " sent something that is neither a fault nor an exit, and is ended");
    bury(domain);
}

// What a domain's death leads to, whatever it died of.
void Supervisor::bury(Domain& domain) {
    domain.kill_at_tsc = abi::kDeadlineNever;
    const bool service = static_cast<bool>(domain.own_memory);
    take_down(stock_, domain);
    if (!service) {
        domain.state = abi::DomainState::Dead;
        return;
    }
    const uint64_t now = cap::read_tsc();
    if (stock_.env.clock.us_of_ticks(now - domain.last_death_tsc) > kForgetUs) domain.deaths = 0;
    domain.last_death_tsc = now;
    domain.incarnation++;
    if (++domain.deaths > kMaxDeaths) {
        domain.state = abi::DomainState::Failed;
        say("supervisor: " + domain.name + " died " + std::to_string(domain.deaths) +
            " times in a row and is not started again; `stubdom restart " + domain.name +
            "` tries once more");
        return;
    }
    domain.state = abi::DomainState::Restarting;
    domain.restart_at_tsc =
        domain.deaths == 1 ? now : now + stock_.env.clock.ticks_of_us(kFirstDelayUs << domain.deaths);
    say("supervisor: restarting " + domain.name);
}

void Supervisor::report_fault(const Domain& domain, const IpcResult& message) const {
    Crash crash{.domain = domain.name,
                .vector = message.w[3],
                .image_span = domain.image_span,
                .stack_base = abi::kStackTop - kStackBytes};
    std::memcpy(&crash.registers, cap::ipc_buffer().data, sizeof crash.registers);
    // Its main stack, looked at through a mapping of ours.
    auto copy = stock_.env.cspace.copy<cap::Frame>(domain.stack, abi::rights::kRead);
    cap::Mapping mapping;
    if (copy)
        if (auto mapped = stock_.env.mapper.map(copy->address(), kStackBits, abi::map::kRead))
            mapping = std::move(*mapped);
    if (mapping) crash.stack = {mapping.data(), mapping.bytes()};
    for (const std::string& line : crash_report(crash)) say(line);
}

}  // namespace bulkhead::supervisor
