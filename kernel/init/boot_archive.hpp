// SPDX-License-Identifier: Apache-2.0
// The boot module "bootfs", a cpio archive ("newc"), as far as the kernel needs it: the root task and its
// personality are files of it. The supervisor reads the rest.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace bulkhead::init {

struct ArchiveFile {
    const uint8_t* data =
        nullptr;  // nullptr: there is no such file before the archive's end, or before damage
    size_t size = 0;
};

ArchiveFile find_file(const uint8_t* archive, size_t bytes, const char* name);

}  // namespace bulkhead::init
