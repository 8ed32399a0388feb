// SPDX-License-Identifier: Apache-2.0
// What a call and its answer take between two threads on one CPU, for the self-test.
#pragma once

#include "lib/cap/environment.hpp"

namespace bulkhead::dom0 {

// In TSC ticks, within dom0's address space, with a passive server. dom0's own scheduling context stays on
// its CPU; the caller runs on `context`, on which nothing else should run meanwhile, and so on its CPU. Takes
// some milliseconds; Timeout when that context gets no time.
cap::Expected<std::uint64_t> measure_ipc(cap::Environment& env, cap::CapAddr context);

}  // namespace bulkhead::dom0
