// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/types.hpp"

#include <array>

namespace bulkhead::xenstore {

const char* wire_name(Status status) {
    static constexpr std::array<const char*, static_cast<std::size_t>(Status::kCount)> kNames = {
        "OK",     "EINVAL", "EACCES", "EEXIST", "ENOENT", "ENOSPC",
        "ENOSYS", "EBUSY",  "EAGAIN", "E2BIG",  "EPERM"};
    return kNames[static_cast<std::size_t>(status)];
}

}  // namespace bulkhead::xenstore
