// SPDX-License-Identifier: Apache-2.0
// What must hold whenever the kernel is left: the first violated rule as a sentence, or an empty string.
#pragma once

#include <string>

namespace bulkhead::fake {

std::string find_inconsistency();

}  // namespace bulkhead::fake
