// SPDX-License-Identifier: Apache-2.0
// Turns what the manifest grants to a domain into capabilities in its CSpace and names in its StartInfo.
#pragma once

#include <string>

#include "toolstack/supervisor/domain_builder.hpp"
#include "toolstack/supervisor/start_page.hpp"

namespace bulkhead::supervisor {

struct GrantContext {
    Stock& stock;
    Domain& domain;
    uint32_t index;
    const SpawnExtras& extras;
    AddressSpace& space;
    Keeper& keeper;
    StartPage& start;
    uint32_t next_slot, end_slot;  // of the domain's root CNode
    uint64_t next_address;         // for what is mapped into it
    std::string step;              // out: what was being granted
};

Outcome give_grants(GrantContext& context);

}  // namespace bulkhead::supervisor
