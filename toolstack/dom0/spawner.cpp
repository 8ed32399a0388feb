// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/spawner.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::dom0 {

using abi::SpawnCall;
using cap::CapAddr;
using cap::IpcResult;
using cap::Status;

IpcResult Spawner::call(SpawnCall what, std::uint64_t w0, std::uint64_t w1, std::uint64_t w2,
                        std::uint64_t w3, unsigned words, unsigned caps) {
    const abi::MessageTag tag{static_cast<std::uint64_t>(what), words, caps};
    IpcResult answer = cap::sys::ipc_call(endpoint_, {tag, {w0, w1, w2, w3}});
    if (answer.ok()) answer.status = static_cast<Status>(answer.w[0]);
    return answer;
}

Status Spawner::begin(const abi::SpawnRequest& request) {
    std::uint64_t words[sizeof request / 8];
    std::memcpy(words, &request, sizeof request);
    std::copy(std::begin(words) + abi::kRegisterWords, std::end(words),
              cap::ipc_buffer().words + abi::kRegisterWords);
    const IpcResult answer = call(SpawnCall::Begin, words[0], words[1], words[2], words[3], std::size(words));
    handle_ = answer.w[1];
    return answer.status;
}

Status Spawner::memory(std::span<const CapAddr> untypeds) {
    abi::IpcBuffer& buffer = cap::ipc_buffer();
    std::copy(untypeds.begin(), untypeds.end(), buffer.caps);
    buffer.move = (std::uint64_t{1} << untypeds.size()) - 1;
    return call(SpawnCall::Memory, handle_, 0, 0, 0, 4, static_cast<unsigned>(untypeds.size())).status;
}

Status Spawner::finish() {
    return call(SpawnCall::Finish, handle_).status;
}

cap::Expected<Spawner::Contexts> Spawner::contexts(std::uint64_t tag) {
    Contexts out;
    for (;;) {
        Contexts received;
        abi::IpcBuffer& buffer = cap::ipc_buffer();
        for (CapAddr& slot : buffer.receive_slots) {
            auto empty = env_.cspace.empty<cap::SchedContext>();
            if (!empty) return std::unexpected{Status::OutOfMemory};
            slot = empty->address();
            received.push_back(std::move(*empty));
        }
        const IpcResult answer = call(SpawnCall::Sched, tag, out.size());
        const std::uint64_t count = std::min<std::uint64_t>(buffer.received, received.size());
        std::ranges::fill(buffer.receive_slots, CapAddr{});
        if (!answer.ok()) return std::unexpected{answer.status};
        for (std::uint64_t i = 0; i < count; i++) out.push_back(std::move(received[i]));
        if (count == 0 || out.size() >= answer.w[1]) return out;
    }
}

Status Spawner::configure(std::uint64_t tag, unsigned context, unsigned cpu, unsigned priority,
                          unsigned weight) {
    return call(SpawnCall::Configure, tag, context, cpu | priority << 8 | std::uint64_t{weight} << 16, 0)
        .status;
}

cap::Expected<cap::Cap<cap::Endpoint>> Spawner::control(std::uint64_t tag) {
    auto endpoint = env_.cspace.empty<cap::Endpoint>();
    if (!endpoint) return std::unexpected{endpoint.error()};
    abi::IpcBuffer& buffer = cap::ipc_buffer();
    std::ranges::fill(buffer.receive_slots, CapAddr{});
    buffer.receive_slots[0] = endpoint->address();
    const IpcResult answer = call(SpawnCall::Control, tag);
    buffer.receive_slots[0] = CapAddr{};
    if (!answer.ok()) return std::unexpected{answer.status};
    return endpoint;
}

void Spawner::forget(std::uint64_t tag) {
    (void)call(SpawnCall::Forget, tag);
}

Status Spawner::by_name(SpawnCall what, const std::string& name, std::uint64_t delay_ms) {
    char text[32] = {};
    if (name.size() >= sizeof text) return Status::NoCapability;
    std::memcpy(text, name.data(), name.size());
    std::uint64_t words[4];
    std::memcpy(words, text, sizeof words);
    cap::ipc_buffer().words[abi::kRegisterWords] = words[3];
    return call(what, delay_ms, words[0], words[1], words[2], abi::kRegisterWords + 1).status;
}

Status Spawner::restart(const std::string& name) {
    return by_name(SpawnCall::Restart, name, 0);
}

Status Spawner::kill(const std::string& name, std::uint64_t delay_ms) {
    return by_name(SpawnCall::Kill, name, delay_ms);
}

std::vector<SupervisedDomain> Spawner::domains() {
    std::vector<SupervisedDomain> out;
    for (std::uint64_t index = 0;; index++) {
        const IpcResult answer = call(SpawnCall::Domains, index);
        if (!answer.ok()) return out;
        SupervisedDomain domain;
        char name[32] = {};
        std::memcpy(name, &cap::ipc_buffer().words[4], sizeof name - 1);
        domain.name = name;
        domain.tag = answer.w[1];
        domain.state = static_cast<abi::DomainState>(answer.w[2] & 0xff);
        domain.incarnation = static_cast<std::uint32_t>(answer.w[2] >> 8 & 0xffffff);
        domain.spawned = (answer.w[2] >> 32 & 1) != 0;
        domain.memory_kib = answer.w[3];
        out.push_back(std::move(domain));
    }
}

std::optional<SupervisedDomain> Spawner::find(std::uint64_t tag) {
    for (auto& domain : domains())
        if (domain.tag == tag) return std::move(domain);
    return std::nullopt;
}

}  // namespace bulkhead::dom0
