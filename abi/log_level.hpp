// SPDX-License-Identifier: Apache-2.0
// How much a line of the log matters. The boot options loglvl= and guest_loglvl= say from where on.
#pragma once

#include <stdint.h>

namespace bulkhead::abi {

enum class LogLevel : uint64_t { Error, Warning, Info, Debug };

}  // namespace bulkhead::abi
