// SPDX-License-Identifier: Apache-2.0
// The supervisor's "spawn" endpoint as methods (abi/spawn.hpp). IPC; the supervisor answers in bounded time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "abi/spawn.hpp"
#include "lib/cap/environment.hpp"

namespace bulkhead::dom0 {

struct SupervisedDomain {
    std::string name;
    std::uint64_t tag = 0;
    abi::DomainState state = abi::DomainState::Starting;
    std::uint32_t incarnation = 0;
    bool spawned = false;  // by dom0, of a template
    std::uint64_t memory_kib = 0;
};

class Spawner {
  public:
    using Contexts = std::vector<cap::Cap<cap::SchedContext>>;

    Spawner(cap::Environment& env, cap::CapAddr endpoint) : env_{env}, endpoint_{endpoint} {}

    cap::Status begin(const abi::SpawnRequest& request);
    cap::Status memory(std::span<const cap::CapAddr> untypeds);  // moved; at most kMessageCaps
    cap::Status finish();
    cap::Expected<Contexts> contexts(std::uint64_t tag);  // main first, then one per vCPU
    cap::Status configure(std::uint64_t tag, unsigned context, unsigned cpu, unsigned priority,
                          unsigned weight);
    cap::Expected<cap::Cap<cap::Endpoint>> control(std::uint64_t tag);
    void forget(std::uint64_t tag);
    cap::Status restart(const std::string& name);
    cap::Status kill(const std::string& name, std::uint64_t delay_ms);
    std::vector<SupervisedDomain> domains();
    std::optional<SupervisedDomain> find(std::uint64_t tag);

  private:
    cap::IpcResult call(abi::SpawnCall what, std::uint64_t w0 = 0, std::uint64_t w1 = 0, std::uint64_t w2 = 0,
                        std::uint64_t w3 = 0, unsigned words = 4, unsigned caps = 0);

    cap::Status by_name(abi::SpawnCall what, const std::string& name, std::uint64_t delay_ms);

    cap::Environment& env_;
    const cap::CapAddr endpoint_;
    std::uint64_t handle_ = 0;
};

}  // namespace bulkhead::dom0
