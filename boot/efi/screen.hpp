// SPDX-License-Identifier: Apache-2.0
// The graphics mode: chosen as video= wishes, described to the kernel.
#pragma once

#include "abi/bootinfo.hpp"
#include "boot/config/config.hpp"
#include "boot/efi/efi.hpp"

namespace bulkhead::boot {

// Fails on a wish that cannot be read; says so, and leaves the mode, where the firmware has none that fits.
void set_video_mode(const FileLine& video, Where where);
void describe_screen(abi::BootInfo& info);

}  // namespace bulkhead::boot
