// SPDX-License-Identifier: Apache-2.0
// `selftest`: what this machine has, what of it works, what to tell us. Everything is tried by the means that
// dom0 has anyway; no disk is touched. Takes some seconds, and two guests' memory for a while.
#pragma once

#include "toolstack/dom0/shell/shell.hpp"

namespace bulkhead::shell {

int selftest(xl::Context& context, xl::Words words);

}  // namespace bulkhead::shell
