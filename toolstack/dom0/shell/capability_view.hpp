// SPDX-License-Identifier: Apache-2.0
// A list of capabilities as text for people, as JSON for scripts, and as a graph for Graphviz. Pure.
#pragma once

#include <functional>
#include <string_view>

#include "toolstack/xl/backend.hpp"

namespace bulkhead::shell {

// Gets the text piece by piece: of many guests it is more than dom0's memory.
using Sink = std::function<void(std::string_view)>;

void capability_table(const xl::CapabilityList& list, const Sink& out);
// An array with an object per capability; the members are those of xl::CapabilityInfo.
void capability_json(const xl::CapabilityList& list, const Sink& out);
// One cluster a domain, one edge from each capability to its object, dashed edges for the derivation of
// objects.
void capability_dot(const xl::CapabilityList& list, const Sink& out);

}  // namespace bulkhead::shell
