// SPDX-License-Identifier: Apache-2.0
// What dom0 may ask for. dom0 is not trusted: everything it says is checked, and it never gets a capability
// to a CNode, a thread, an address space or a frame of the domain that it asked for.
#include <algorithm>
#include <cstring>

#include "toolstack/supervisor/supervisor.hpp"

namespace bulkhead::supervisor {
namespace {

using abi::SpawnCall;
using cap::CapAddr;
using cap::IpcResult;
using cap::Status;

constexpr size_t kMaxChunks = 64, kMaxDomains = 512;
constexpr unsigned kMinFirstChunkBits = 22;
constexpr uint64_t kMaxTag = 0x7fef;

// The words of a message: four came in registers, the others are in the buffer. Copied once.
template <typename T>
T words_of(const IpcResult& message, size_t skip = 0) {
    uint64_t words[abi::kMessageWords] = {};
    std::copy_n(message.w, abi::kRegisterWords, words);
    for (size_t i = abi::kRegisterWords; i < message.tag.words() && i < abi::kMessageWords; i++)
        words[i] = cap::ipc_buffer().words[i];
    T value;
    static_assert(sizeof value <= sizeof words - 64);
    std::memcpy(&value, words + skip, sizeof value);
    return value;
}

template <size_t N>
std::string text_of(const char (&field)[N]) {
    return {field, strnlen(field, N)};
}

bool is_domain_name(const std::string& name) {
    return !name.empty() && name.size() < 32 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::strchr("-_.:+", c);
    });
}

}  // namespace

Supervisor::Answer Supervisor::spawn_call(uint64_t label, const IpcResult& message) {
    switch (static_cast<SpawnCall>(label)) {
        case SpawnCall::Begin: return spawn_begin(message);
        case SpawnCall::Memory: return spawn_memory(message.w[0]);
        case SpawnCall::Finish: return spawn_finish(message.w[0]);
        case SpawnCall::Sched: return spawn_sched(message.w[0], message.w[1]);
        case SpawnCall::Forget: return spawn_forget(message.w[0]);
        case SpawnCall::Restart: return spawn_restart(message);
        case SpawnCall::Kill: return spawn_kill(message);
        case SpawnCall::Domains: return list_domain(message.w[0]);
        case SpawnCall::Configure: return configure(message);
        case SpawnCall::Control: return control(message.w[0]);
    }
    return {Status::NoSuchCall};
}

void Supervisor::abandon_pending() {
    if (!pending_) return;
    for (const CapAddr chunk : pending_->chunks) {
        cap::drop(cap::sys::cap_revoke(chunk));
        cap::drop(cap::sys::cap_delete(chunk));
        stock_.env.cspace.slots().free(chunk);
    }
    pending_.reset();
}

Supervisor::Answer Supervisor::spawn_begin(const IpcResult& message) {
    const auto request = words_of<abi::SpawnRequest>(message);
    abandon_pending();
    Pending pending;
    pending.spec = stock_.manifest.find_template(text_of(request.template_name));
    pending.name = text_of(request.name);
    pending.tag = request.tag;
    if (!pending.spec || !is_domain_name(pending.name) || request.tag == 0 || request.tag > kMaxTag)
        return {Status::BadArgument};
    if (find(request.tag)) return {Status::Busy};
    if (std::ranges::count_if(domains_, [](const auto& d) { return d != nullptr; }) >=
        static_cast<long>(kMaxDomains))
        return {Status::OutOfMemory};
    if (request.vcpus < 1 || request.vcpus > pending.spec->vcpus_max || request.weight < 1 ||
        request.weight > 65535)
        return {Status::BadArgument};
    auto inside = [&](uint64_t offset, uint64_t size) {
        return offset <= stock_.bootfs.size() && size <= stock_.bootfs.size() - offset;
    };
    if (!inside(request.kernel_offset, request.kernel_size) ||
        !inside(request.ramdisk_offset, request.ramdisk_size))
        return {Status::BadArgument};
    pending.extras.vcpus = request.vcpus;
    pending.extras.weight = request.weight;
    std::ranges::copy(request.vcpu_cpu, pending.extras.vcpu_cpu);
    pending.extras.kernel = {request.kernel_offset, request.kernel_size};
    pending.extras.ramdisk = {request.ramdisk_offset, request.ramdisk_size};
    pending.handle = next_handle_++;
    pending_ = std::move(pending);
    return {Status::Ok, pending_->handle};
}

Supervisor::Answer Supervisor::spawn_memory(uint64_t handle) {
    if (!pending_ || pending_->handle != handle) return {Status::BadArgument};
    const uint64_t received = std::min<uint64_t>(cap::ipc_buffer().received, receive_slots_.size());
    if (received == 0) return {Status::NoCapability};
    for (uint64_t i = 0; i < received; i++) {
        const auto state = cap::sys::untyped_info(receive_slots_[i]);
        if (!state.ok()) return {state.status};
        if (state.device || pending_->chunks.size() == kMaxChunks) return {Status::BadArgument};
        if (pending_->chunks.empty() && state.size_bits < kMinFirstChunkBits) return {Status::OutOfMemory};
        // Whoever handed this over may have made something of it: undo that first.
        if (const Status status = cap::sys::cap_revoke(receive_slots_[i]); status != Status::Ok)
            return {status};
        const auto slot = stock_.env.cspace.slots().allocate();
        if (!slot) return {Status::OutOfMemory};
        if (const Status status = cap::sys::cap_move(*slot, receive_slots_[i]); status != Status::Ok) {
            stock_.env.cspace.slots().free(*slot);
            return {status};
        }
        pending_->chunks.push_back(*slot);
    }
    return {};
}

Supervisor::Answer Supervisor::spawn_finish(uint64_t handle) {
    if (!pending_ || pending_->handle != handle) return {Status::BadArgument};
    if (pending_->chunks.empty()) return {Status::OutOfMemory};
    const uint32_t index = new_record();
    Domain& domain = *domains_[index];
    domain.spec = pending_->spec;
    domain.name = pending_->name;
    domain.tag = pending_->tag;
    domain.chunks = pending_->chunks;
    for (const CapAddr chunk : domain.chunks)
        if (const auto state = cap::sys::untyped_info(chunk); state.ok())
            domain.memory_bytes += uint64_t{1} << state.size_bits;
    const BuildResult built = build_domain(stock_, domain, index, pending_->extras);
    if (!built) {
        cap::log_line(built.error());
        domains_[index].reset();
        abandon_pending();
        return {Status::OutOfMemory};
    }
    pending_.reset();
    return {};
}

Supervisor::Answer Supervisor::spawn_sched(uint64_t tag, uint64_t first) {
    const Domain* domain = find(tag);
    if (!domain) return {Status::NoCapability};
    Answer answer{Status::Ok, domain->contexts.size()};
    for (uint64_t i = first; i < domain->contexts.size() && answer.caps < abi::kMessageCaps; i++)
        cap::ipc_buffer().caps[answer.caps++] = domain->contexts[i];
    cap::ipc_buffer().move = 0;
    return answer;
}

Supervisor::Answer Supervisor::control(uint64_t tag) {
    Domain* domain = find(tag);
    if (!domain || domain->control_client.is_null()) return {Status::NoCapability};
    cap::ipc_buffer().caps[0] = domain->control_client;
    cap::ipc_buffer().move = 0;
    Answer answer;
    answer.caps = 1;
    return answer;
}

Supervisor::Answer Supervisor::spawn_forget(uint64_t tag) {
    const auto it = std::ranges::find_if(domains_, [&](const auto& d) { return d && d->tag == tag; });
    if (it == domains_.end() || (*it)->own_memory) return {Status::NoCapability};
    take_down(stock_, **it);
    for (const CapAddr chunk : (*it)->chunks) {
        cap::drop(cap::sys::cap_delete(chunk));
        stock_.env.cspace.slots().free(chunk);
    }
    it->reset();
    return {};
}

namespace {
struct ByName {  // words of Restart and Kill
    uint64_t delay_ms;
    char name[32];
};
}  // namespace

Supervisor::Answer Supervisor::spawn_kill(const IpcResult& message) {
    const auto asked = words_of<ByName>(message);
    if (asked.delay_ms > abi::kMaxKillDelayMs) return {Status::BadArgument};
    const std::string name = text_of(asked.name);
    const auto found = std::ranges::find_if(domains_, [&](const auto& d) { return d && d->name == name; });
    if (found == domains_.end()) return {Status::NoCapability};
    if ((*found)->state != abi::DomainState::Running) return {Status::NotReady};
    (*found)->kill_at_tsc = stock_.env.clock.deadline_in_ms(asked.delay_ms);
    return {};
}

Supervisor::Answer Supervisor::spawn_restart(const IpcResult& message) {
    const std::string name = text_of(words_of<ByName>(message).name);
    for (uint32_t i = 0; i < domains_.size(); i++) {
        Domain* domain = domains_[i].get();
        if (!domain || !domain->own_memory || domain->name != name) continue;
        cap::log_line("supervisor: restarting " + name + " as asked");
        if (domain->state == abi::DomainState::Running) take_down(stock_, *domain);
        domain->deaths = 0;
        domain->kill_at_tsc = abi::kDeadlineNever;
        domain->incarnation++;
        start(i);
        return {domain->state == abi::DomainState::Running ? Status::Ok : Status::NotReady};
    }
    return {Status::NoCapability};
}

Supervisor::Answer Supervisor::list_domain(uint64_t index) {
    for (const auto& domain : domains_) {
        if (!domain || index-- != 0) continue;
        Answer answer{Status::Ok, domain->tag,
                      static_cast<uint64_t>(domain->state) | uint64_t{domain->incarnation & 0xffffff} << 8 |
                          uint64_t{!domain->own_memory} << 32,
                      domain->memory_bytes / 1024};
        char name[32] = {};
        std::memcpy(name, domain->name.data(), std::min(domain->name.size(), sizeof name - 1));
        std::memcpy(&cap::ipc_buffer().words[4], name, sizeof name);
        answer.words = 8;
        return answer;
    }
    return {Status::NoCapability};
}

Supervisor::Answer Supervisor::configure(const IpcResult& message) {
    const Domain* domain = find(message.w[0]);
    if (!domain || message.w[1] >= domain->contexts.size()) return {Status::NoCapability};
    const auto cpu = static_cast<uint32_t>(message.w[2] & 0xff),
               priority = static_cast<uint32_t>(message.w[2] >> 8 & 0xff),
               weight = static_cast<uint32_t>(message.w[2] >> 16 & 0xffff);
    const uint32_t highest =
        message.w[1] == 0 || domain->own_memory ? domain->spec->priority : domain->spec->vcpu_priority;
    if (message.w[1] == 0 && cpu != domain->spec->cpu % stock_.env.kernel.cpus)
        return {Status::BadArgument};  // it could not call services from elsewhere
    if (cpu >= stock_.env.kernel.cpus || priority > highest || weight == 0) return {Status::BadArgument};
    return {cap::sys::sched_configure(CapAddr{0, abi::root::kSchedControl}, domain->contexts[message.w[1]],
                                      cpu, priority, weight, message.w[3])};
}

}  // namespace bulkhead::supervisor
