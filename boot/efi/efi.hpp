// SPDX-License-Identifier: Apache-2.0
// GNU-EFI for C++: the firmware's functions are called directly (GNU_EFI_USE_MS_ABI).
#pragma once

extern "C" {
#include <efi.h>
#include <efilib.h>
}

#include <string_view>

namespace bulkhead::boot {

// A failure that a person must read: "bulkhead.efi: bulkhead.cfg:7: …". Prints it on the firmware console,
// waits for a key and returns to the firmware's boot menu.
struct Where {
    std::string_view file;  // may be empty
    uint32_t line = 0;      // 0: none
};

void print(std::string_view text);
void print_number(uint64_t value);
[[noreturn]] void fail(Where where, std::string_view message, std::string_view word = {},
                       EFI_STATUS status = EFI_SUCCESS);
void set_exit(EFI_HANDLE image);  // fail() needs to know whom to end

}  // namespace bulkhead::boot
