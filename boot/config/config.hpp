// SPDX-License-Identifier: Apache-2.0
// The loader's configuration file, in the syntax of Xen's xen.cfg (docs/misc/efi.pandoc of Xen):
//
//     # comment
//     [global]                 default=NAME  chain=FILE, and options= ucode= video= dtb= for sections without
//     default=NAME
//     [NAME]                   options=  kernel=FILE ARGS  ramdisk=FILE  module=FILE NAME  ucode=FILE
//     dtb=FILE kernel=bulkhead.elf      video=gfx-WIDTHxHEIGHTxDEPTH
//
// Without a section's name and without default=, headers do not count: of each key the first one in the file
// is used, and the module= lines of the section in which kernel= was found.
// No allocation, no C library: the EFI loader and the host tests compile the same code. All text in the
// result points into the file or is the section that was asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::boot {

inline constexpr size_t kMaxModules = 13;  // with ramdisk=, dtb= and ucode= as many as BootInfo has room for
inline constexpr size_t kMaxConfigBytes = 64 * 1024;

struct FileLine {
    std::string_view file, arguments;  // "FILE ARGUMENTS"; file is empty when the key is absent
    uint32_t line = 0;
};

struct Config {
    std::string_view section;                              // empty: headers do not count
    FileLine options, kernel, ramdisk, dtb, ucode, video;  // options and video: all of the text is in `file`
    FileLine module[kMaxModules];
    size_t modules = 0;
};

struct ConfigError {
    uint32_t line;          // 1-based; 0: the file as a whole
    const char* message;    // a sentence without the file's name
    std::string_view word;  // what it is about, may be empty
};

struct ConfigResult {
    bool ok;
    Config config;  // when not ok: only `section`
    ConfigError error;
    std::string_view chain;  // when not ok: the file to look into instead, if there is one
};

// `section`: which one; empty: the one that [global] default= names, else all. kernel_embedded: the image
// holds a kernel, so that none need be named.
ConfigResult parse_config(std::string_view text, std::string_view section, bool kernel_embedded = false);

}  // namespace bulkhead::boot
