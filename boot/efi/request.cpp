// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/request.hpp"

extern "C" {
#include <efishell.h>
}

namespace bulkhead::boot {
namespace {

EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
EFI_GUID shell_parameters_guid = EFI_SHELL_PARAMETERS_PROTOCOL_GUID;
EFI_GUID global_variable_guid = EFI_GLOBAL_VARIABLE;

char text[kMaxArguments];

// One byte of a boolean variable that the firmware sets (UEFI 2.10, 3.3); absent counts as no.
bool is_set(const char16_t* name) {
    uint8_t value = 0;
    UINTN bytes = sizeof value;
    const EFI_STATUS status = RT->GetVariable(reinterpret_cast<CHAR16*>(const_cast<char16_t*>(name)),
                                              &global_variable_guid, nullptr, &bytes, &value);
    return !EFI_ERROR(status) && bytes == sizeof value && value == 1;
}

}  // namespace

EFI_LOADED_IMAGE_PROTOCOL& loaded_image(EFI_HANDLE image) {
    EFI_LOADED_IMAGE_PROTOCOL* self = nullptr;
    const EFI_STATUS status = BS->HandleProtocol(image, &loaded_image_guid, reinterpret_cast<void**>(&self));
    if (EFI_ERROR(status)) fail({}, "the firmware does not say where the loader came from", {}, status);
    return *self;
}

Arguments read_arguments(EFI_HANDLE image, const EFI_LOADED_IMAGE_PROTOCOL& self, bool* from_shell) {
    // The shell passes the whole line, the program's name first; who else starts programs does not.
    void* parameters = nullptr;
    *from_shell = !EFI_ERROR(BS->HandleProtocol(image, &shell_parameters_guid, &parameters));
    const auto* bytes = static_cast<const uint8_t*>(self.LoadOptions);
    if (!bytes || self.LoadOptionsSize == 0) return {};
    const std::string_view line = decode_load_options({bytes, self.LoadOptionsSize}, text);
    if (line.empty() && self.LoadOptionsSize > 2)
        note({}, "the load options are not ASCII text, and are ignored");
    return parse_arguments(line, *from_shell);
}

bool secure_boot() {
    return is_set(u"SecureBoot") && !is_set(u"SetupMode");
}

}  // namespace bulkhead::boot
