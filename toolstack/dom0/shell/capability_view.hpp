// SPDX-License-Identifier: Apache-2.0
// A list of capabilities as text for people, as JSON for scripts, and as a graph for Graphviz. Pure.
#pragma once

#include <string>
#include <vector>

#include "toolstack/xl/backend.hpp"

namespace bulkhead::shell {

using CapabilityList = std::vector<xl::CapabilityInfo>;

std::string capability_table(const CapabilityList& list);
// An array of {"domain", "name", "slot", "type", "rights", "badge", "object", "parent", "size"}.
std::string capability_json(const CapabilityList& list);
// One cluster a domain, one edge from each capability to its object, dashed edges for the derivation of
// objects.
std::string capability_dot(const CapabilityList& list);

}  // namespace bulkhead::shell
