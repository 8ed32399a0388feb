// SPDX-License-Identifier: Apache-2.0
// How the loader was started: its words, its image, and whether Secure Boot is in force.
#pragma once

#include "boot/config/arguments.hpp"
#include "boot/efi/efi.hpp"

namespace bulkhead::boot {

EFI_LOADED_IMAGE_PROTOCOL& loaded_image(EFI_HANDLE image);
// `from_shell`: there is a person who sees what was printed after the loader ends.
Arguments read_arguments(EFI_HANDLE image, const EFI_LOADED_IMAGE_PROTOCOL& self, bool* from_shell);
bool secure_boot();

}  // namespace bulkhead::boot
