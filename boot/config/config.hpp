// SPDX-License-Identifier: Apache-2.0
// The loader's configuration file, in the syntax of Xen's xen.cfg (docs/misc/efi.pandoc of Xen):
//
//     # comment                       a section's lines:  options=  kernel=FILE ARGS  ramdisk=FILE
//     module=FILE NAME (repeatable) [global] default=NAME [NAME] kernel=bulkhead.elf
//
// No allocation, no C library: the EFI loader and the host tests compile the same code. All text in the
// result points into the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::boot {

inline constexpr size_t kMaxModules = 14;
inline constexpr size_t kMaxConfigBytes = 64 * 1024;

struct FileLine {
    std::string_view file, arguments;  // "FILE ARGUMENTS"; file is empty when the key is absent
    uint32_t line = 0;
};

struct Config {
    std::string_view section, options;
    FileLine kernel, ramdisk;
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
    Config config;
    ConfigError error;
};

// `section`: which one; empty: the one that [global] default= names, else the first.
ConfigResult parse_config(std::string_view text, std::string_view section);

}  // namespace bulkhead::boot
