// SPDX-License-Identifier: Apache-2.0
// From a configuration to a domain; also for what starts domains without the command line (/etc/xen/auto,
// restarts).
#pragma once

#include <optional>
#include <string>

#include "toolstack/xl/command.hpp"

namespace bulkhead::xl {

// Reads and checks an xl.cfg file of dom0's tree (a relative path counts from /etc/xen; "" is no file) and
// the settings on top of it. nullopt: every problem was printed.
std::optional<DomainConfig> load_config(Context& context, const std::string& path,
                                        const std::string& settings);

// Checks name, UUID and CPUs against the machine, finds the images, generates a UUID if there is none, and
// builds the domain. It is left paused.
Result<DomainId> build_domain(Backend& backend, DomainConfig config);

}  // namespace bulkhead::xl
