// SPDX-License-Identifier: Apache-2.0
// Which keys xl.cfg(5) of Xen 4.17 has, to tell a key that Bulkhead does not support from a misspelt one.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::xl {

bool supported_key(std::string_view key);
bool xen_key(std::string_view key);

// The supported key that `key` was probably meant to be (one letter wrong, missing, extra or swapped), or "".
std::string similar_key(std::string_view key);

}  // namespace bulkhead::xl
