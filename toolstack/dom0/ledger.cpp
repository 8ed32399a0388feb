// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/ledger.hpp"

namespace bulkhead::dom0 {
namespace {

constexpr std::uint32_t kLastId = 0x7fef;

}  // namespace

std::uint32_t Ledger::free_id() const {
    for (std::uint32_t id = state_.next_domain;; id++) {
        if (id > kLastId || id < kFirstGuest) id = kFirstGuest;
        if (!state_.find(id)) return id;
    }
}

std::expected<std::uint32_t, Ledger::Refusal> Ledger::begin(const xl::DomainConfig& config,
                                                            std::uint32_t successor_of,
                                                            std::uint64_t now_tsc) {
    const State before = state_;
    DomainRecord record;
    record.id = free_id();
    record.config = config;
    record.created_tsc = now_tsc;
    record.restart = successor_of != 0;
    auto chunks = memory_.reserve(record.id, vmm_bits(config), config.memory_mib << 20);
    if (!chunks) return std::unexpected{Refusal::NoMemory};
    record.chunks = std::move(*chunks);
    const std::uint32_t id = record.id;
    state_.next_domain = id + 1;
    state_.domains.push_back(std::move(record));
    if (DomainRecord* last = successor_of != 0 ? state_.find(successor_of) : nullptr) last->restart = false;
    if (commit()) return id;
    state_ = before;
    memory_.forget_plans();
    return std::unexpected{Refusal::JournalFull};
}

bool Ledger::complete(std::uint32_t id) {
    DomainRecord& record = *state_.find(id);
    record.phase = Phase::Live;
    record.restart = false;
    return commit();
}

void Ledger::free_memory(std::uint32_t id) {
    DomainRecord& record = *state_.find(id);
    memory_.release(record.chunks);
    record.chunks.clear();
    record.phase = Phase::Gone;
    (void)commit();
    cap::drop(memory_.carry_out());
}

void Ledger::erase(std::uint32_t id) {
    std::erase_if(state_.domains, [&](const DomainRecord& record) { return record.id == id; });
    (void)commit();
}

}  // namespace bulkhead::dom0
