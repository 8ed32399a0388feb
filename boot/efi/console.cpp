// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/files.hpp"

namespace bulkhead::boot {
namespace {

EFI_HANDLE image_handle;

// What UEFI (2.10, Appendix D) calls its status codes, for the ones a loader meets.
std::string_view status_name(EFI_STATUS status) {
    switch (status) {
        case EFI_LOAD_ERROR: return "load error";
        case EFI_INVALID_PARAMETER: return "invalid parameter";
        case EFI_UNSUPPORTED: return "unsupported";
        case EFI_DEVICE_ERROR: return "device error";
        case EFI_VOLUME_CORRUPTED: return "volume corrupted";
        case EFI_OUT_OF_RESOURCES: return "out of memory";
        case EFI_NO_MEDIA: return "no medium";
        case EFI_NOT_FOUND: return "not found";
        case EFI_ACCESS_DENIED: return "access denied";
        case EFI_SECURITY_VIOLATION: return "security violation";
        default: return "firmware error";
    }
}

}  // namespace

void set_exit(EFI_HANDLE image) {
    image_handle = image;
}

void print(std::string_view text) {
    CHAR16 buffer[128];
    size_t used = 0;
    for (const char c : text) {
        if (used + 3 > sizeof buffer / sizeof buffer[0]) {
            buffer[used] = 0;
            ST->ConOut->OutputString(ST->ConOut, buffer);
            used = 0;
        }
        if (c == '\n') buffer[used++] = '\r';
        buffer[used++] = static_cast<unsigned char>(c < 0x20 && c != '\n' ? '?' : c);
    }
    buffer[used] = 0;
    ST->ConOut->OutputString(ST->ConOut, buffer);
}

void print_number(uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = static_cast<char>('0' + value % 10);
    while (value /= 10);
    print({digits + at, sizeof digits - at});
}

void print_wide(const CHAR16* text) {
    // OutputString does not change what it prints (UEFI 2.10, 12.4.3), but does not say so.
    ST->ConOut->OutputString(ST->ConOut, const_cast<CHAR16*>(text));
}

void note(Where where, std::string_view message, std::string_view word, EFI_STATUS status) {
    print("bulkhead.efi: ");
    if (!where.file.empty()) {
        print(where.file);
        if (where.line) {
            print(":");
            print_number(where.line);
        }
        print(": ");
    }
    print(message);
    if (!word.empty()) {
        print(" '");
        print(word);
        print("'");
    }
    if (status != EFI_SUCCESS) {
        print(" (");
        print(status_name(status));
        print(")");
    }
    print("\n");
}

void fail(Where where, std::string_view message, std::string_view word, EFI_STATUS status) {
    note(where, message, word, status);
    leave(EFI_LOAD_ERROR, true);
}

void leave(EFI_STATUS status, bool wait) {
    if (wait) {
        // What was typed before does not count, and the key does not reach the shell.
        ST->ConIn->Reset(ST->ConIn, FALSE);
        print("Press any key to return to the firmware.\n");
        EFI_INPUT_KEY key;
        do {
            UINTN index;
            BS->WaitForEvent(1, &ST->ConIn->WaitForKey, &index);
        } while (EFI_ERROR(ST->ConIn->ReadKeyStroke(ST->ConIn, &key)));
    }
    free_all_pages();
    BS->Exit(image_handle, status, 0, nullptr);
    for (;;) asm volatile("hlt");
}

}  // namespace bulkhead::boot
