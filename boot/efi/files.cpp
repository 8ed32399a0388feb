// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/files.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMaxFile = uint64_t{1} << 32;
EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

}  // namespace

Volume::Volume(EFI_HANDLE image) {
    EFI_LOADED_IMAGE_PROTOCOL* self = nullptr;
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL* system = nullptr;
    if (EFI_STATUS status = BS->HandleProtocol(image, &loaded_image_guid, reinterpret_cast<void**>(&self));
        EFI_ERROR(status))
        fail({}, "the firmware does not say where the loader came from", {}, status);
    EFI_STATUS status =
        BS->HandleProtocol(self->DeviceHandle, &file_system_guid, reinterpret_cast<void**>(&system));
    if (!EFI_ERROR(status)) status = system->OpenVolume(system, &root_);
    if (EFI_ERROR(status)) fail({}, "the volume that the loader came from cannot be opened", {}, status);

    // The directory: all of the device path's file-path nodes, up to the last separator.
    size_t used = 0, end = 0;
    for (EFI_DEVICE_PATH* node = self->FilePath; node && !IsDevicePathEnd(node);
         node = NextDevicePathNode(node)) {
        if (DevicePathType(node) != MEDIA_DEVICE_PATH || DevicePathSubType(node) != MEDIA_FILEPATH_DP)
            continue;
        const size_t length = (static_cast<size_t>(DevicePathNodeLength(node)) - 4) / 2;
        const auto* bytes = reinterpret_cast<const uint8_t*>(node) + 4;  // not necessarily aligned
        if (used && directory_[used - 1] != '\\') directory_[used++] = '\\';
        for (size_t i = 0; i < length && used + 2 < 256; i++) {
            const auto c = static_cast<CHAR16>(bytes[2 * i] | bytes[2 * i + 1] << 8);
            if (!c) break;
            directory_[used++] = c == '/' ? CHAR16{'\\'} : c;
        }
    }
    for (size_t i = 0; i < used; i++)
        if (directory_[i] == '\\') end = i + 1;
    directory_[end] = 0;
}

EFI_FILE_PROTOCOL* Volume::open(std::string_view name, EFI_STATUS* status) {
    CHAR16 path[512];
    size_t used = 0;
    const bool absolute = !name.empty() && (name.front() == '/' || name.front() == '\\');
    for (const CHAR16* c = directory_; !absolute && *c; c++) path[used++] = *c;
    *status = EFI_INVALID_PARAMETER;
    if (name.size() > 255) return nullptr;
    for (const char c : name) path[used++] = c == '/' ? CHAR16{'\\'} : static_cast<CHAR16>(c);
    path[used] = 0;
    EFI_FILE_PROTOCOL* file = nullptr;
    *status = root_->Open(root_, &file, path, EFI_FILE_MODE_READ, 0);
    return EFI_ERROR(*status) ? nullptr : file;
}

bool Volume::exists(std::string_view name) {
    EFI_STATUS status;
    EFI_FILE_PROTOCOL* file = open(name, &status);
    if (file) file->Close(file);
    return file;
}

Loaded Volume::read(std::string_view name, Where asked_by, uint64_t alignment) {
    EFI_STATUS status;
    EFI_FILE_PROTOCOL* file = open(name, &status);
    if (!file) fail(asked_by, "cannot open the file", name, status);

    alignas(8) uint8_t buffer[sizeof(EFI_FILE_INFO) + 1024];
    UINTN bytes = sizeof buffer;
    status = file->GetInfo(file, &file_info_guid, &bytes, buffer);
    if (EFI_ERROR(status)) fail(asked_by, "cannot learn the size of the file", name, status);
    const auto* info = reinterpret_cast<const EFI_FILE_INFO*>(buffer);
    if (info->Attribute & EFI_FILE_DIRECTORY) fail(asked_by, "is a directory, not a file:", name);
    if (info->FileSize > kMaxFile) fail(asked_by, "the file is larger than 4 GiB:", name);

    Loaded loaded{0, info->FileSize};
    const uint64_t pages = (loaded.size + kPage - 1) / kPage;
    if (pages == 0) fail(asked_by, "the file is empty:", name);
    loaded.base = allocate_pages(pages, alignment, ~uint64_t{0}, EfiLoaderData, name);
    for (uint64_t done = 0; done < loaded.size;) {
        UINTN part = loaded.size - done < (1u << 20) ? loaded.size - done
                                                     : (1u << 20);  // some firmware fails on large reads
        status = file->Read(file, &part, reinterpret_cast<void*>(loaded.base + done));
        if (EFI_ERROR(status) || part == 0)
            fail(asked_by, "cannot read the file", name, EFI_ERROR(status) ? status : EFI_DEVICE_ERROR);
        done += part;
    }
    file->Close(file);
    for (uint64_t at = loaded.size; at < pages * kPage; at++) reinterpret_cast<uint8_t*>(loaded.base)[at] = 0;
    return loaded;
}

uint64_t allocate_pages(uint64_t pages, uint64_t alignment, uint64_t below, EFI_MEMORY_TYPE type,
                        std::string_view what) {
    // The firmware aligns to a page: take more, give back what is too much.
    const uint64_t slack = alignment / kPage - 1;
    EFI_PHYSICAL_ADDRESS got = below == ~uint64_t{0} ? 0 : below - 1;
    const EFI_STATUS status =
        BS->AllocatePages(got ? AllocateMaxAddress : AllocateAnyPages, type, pages + slack, &got);
    if (EFI_ERROR(status)) fail({}, "there is not enough memory for", what, status);
    const uint64_t base = (got + alignment - 1) & ~(alignment - 1);
    const uint64_t before = (base - got) / kPage;
    if (before) BS->FreePages(got, before);
    if (slack - before) BS->FreePages(base + pages * kPage, slack - before);
    return base;
}

}  // namespace bulkhead::boot
