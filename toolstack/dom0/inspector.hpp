// SPDX-License-Identifier: Apache-2.0
// The kernel's own list of capabilities, as `caps` shows it, and its log.
#pragma once

#include <functional>
#include <optional>

#include "lib/cap/syscall.hpp"
#include "toolstack/xl/backend.hpp"

namespace bulkhead::dom0 {

using DomainName = std::function<std::string(std::uint64_t tag)>;

xl::Result<xl::CapabilityList> list_capabilities(cap::CapAddr inspect, std::optional<xl::DomainId> domain,
                                                 const DomainName& name);
xl::Result<std::string> read_log(cap::CapAddr log, bool clear);

}  // namespace bulkhead::dom0
