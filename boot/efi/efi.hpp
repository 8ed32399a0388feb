// SPDX-License-Identifier: Apache-2.0
// GNU-EFI for C++: the firmware's functions are called directly (GNU_EFI_USE_MS_ABI).
#pragma once

extern "C" {
#include <efi.h>
#include <efilib.h>
}

#include <string_view>

namespace bulkhead::boot {

struct Where {
    std::string_view file;  // may be empty
    uint32_t line = 0;      // 0: none
};

void print(std::string_view text);
void print_number(uint64_t value);
void print_wide(const CHAR16* text);  // of the firmware

// "bulkhead.efi: bulkhead.cfg:7: MESSAGE 'WORD' (STATUS)", on the firmware's console.
void note(Where where, std::string_view message, std::string_view word = {}, EFI_STATUS status = EFI_SUCCESS);
// A failure that a person must read: note(), wait for a key, return to whoever started the loader.
[[noreturn]] void fail(Where where, std::string_view message, std::string_view word = {},
                       EFI_STATUS status = EFI_SUCCESS);
// Returns to whoever started the loader, after a key if `wait`, and leaves none of its memory taken.
[[noreturn]] void leave(EFI_STATUS status, bool wait);

void set_exit(EFI_HANDLE image);  // leave() needs to know whom to end

}  // namespace bulkhead::boot
