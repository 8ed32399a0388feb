// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::xl {

// The absolute path without "", "." and ".." that a word means. There is no working directory; relative ones
// count from `base`.
std::string normalize_path(std::string_view path, std::string_view base = "/");

}  // namespace bulkhead::xl
