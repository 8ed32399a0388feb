// SPDX-License-Identifier: Apache-2.0
// The graphics mode: chosen as video= or vga= wishes, described to the kernel.
#pragma once

#include "abi/bootinfo.hpp"
#include "boot/config/config.hpp"
#include "boot/efi/efi.hpp"

namespace bulkhead::boot {

// Fails on a video= of the configuration that cannot be read. Says so, and leaves the mode, where the
// firmware has none that fits.
void set_video_mode(const FileLine& video, Where where);
// The same for the option vga=gfx-…
void set_video_mode(const abi::VgaOptions& vga);
void describe_screen(abi::BootInfo& info);

}  // namespace bulkhead::boot
