// SPDX-License-Identifier: Apache-2.0
// What the machine is, in findings for a self-test: from the boot code's findings, the kernel's, CPUID, and
// platform's timers.
#pragma once

#include <vector>

#include "abi/bootinfo.hpp"
#include "toolstack/dom0/platform_client.hpp"
#include "toolstack/xl/backend.hpp"

namespace bulkhead::dom0 {

std::vector<xl::Finding> describe_hardware(const abi::BootInfo& boot, const abi::KernelInfo& kernel,
                                           const PlatformClient::Timers& timers);

}  // namespace bulkhead::dom0
