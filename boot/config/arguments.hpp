// SPDX-License-Identifier: Apache-2.0
// What the loader was called with. The EFI shell gives words; a boot entry, systemd-boot and GRUB give "load
// options" - often UTF-16 text, but a firmware's own entries may hold anything (UEFI 2.10, 3.1.3).
//
//     [-cfg=FILE] [-basevideo] [-help] [SECTION] [-- HYPERVISOR OPTIONS]
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bulkhead::boot {

inline constexpr size_t kMaxArguments = 2048;  // bytes of text
inline constexpr char kUsage[] =
    "usage: bulkhead.efi [-cfg=FILE] [-basevideo] [-help] [SECTION] [-- HYPERVISOR OPTIONS]\n"
    "  -cfg=FILE    the configuration, instead of bulkhead.cfg beside the loader\n"
    "  -basevideo   leave the video mode as it is, whatever video= and vga= say\n"
    "  SECTION      of the configuration, instead of what default= names\n";

struct Arguments {
    std::string_view config, section;
    std::string_view hypervisor;  // what stands behind `--`
    std::string_view unknown;     // an option that is ignored, and should be named
    bool base_video = false, help = false;
    const char* error = nullptr;  // a sentence, about `word`
    std::string_view word;
};

// Turns load options into ASCII text in `out`; empty when they are none (binary data, say).
std::string_view decode_load_options(std::span<const uint8_t> bytes, std::span<char, kMaxArguments> out);

// The result points into `text`. A first word that names an EFI program is the loader itself, as shells
// pass it; first_is_program: it is, whatever its name.
Arguments parse_arguments(std::string_view text, bool first_is_program);

}  // namespace bulkhead::boot
