// SPDX-License-Identifier: Apache-2.0
// `trace`: the last exits of a guest's vCPUs, as its VMM tells them.
#pragma once

#include "toolstack/dom0/shell/shell.hpp"

namespace bulkhead::shell {

int trace(xl::Context& context, xl::Words words);

}  // namespace bulkhead::shell
